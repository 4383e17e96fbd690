// Configures and starts Vendure (GPL-3.0-or-later) as its documentation does; runs in Vendure's own process.
// One argument, JSON: {modules, port, database, password, products?}. With products, a path of a CSV file, it makes the
// schema and the catalogue and ends; without, it serves.
const { createRequire } = require("node:module");

const { modules, port, database, password, products } = JSON.parse(process.argv[2]);
const installed = createRequire(`${modules}/`);
const { bootstrap, defaultConfig, dummyPaymentHandler, mergeConfig, DefaultLogger, LogLevel } = installed("@vendure/core");

const config = mergeConfig(defaultConfig, {
  apiOptions: { hostname: "127.0.0.1", port },
  authOptions: { tokenMethod: "bearer", superadminCredentials: { identifier: "superadmin", password } },
  dbConnectionOptions: { type: "postgres", url: database, synchronize: Boolean(products), logging: false, poolSize: 20 },
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
  importExportOptions: { importAssetsDir: "." },
  logger: new DefaultLogger({ level: LogLevel.Warn }),
});

const shop = {
  defaultLanguage: "en",
  defaultZone: "Americas",
  countries: [{ code: "US", name: "United States", zone: "Americas" }],
  taxRates: [{ name: "Standard Tax", percentage: 0 }],
  shippingMethods: [{ name: "Standard", price: 500 }],
  paymentMethods: [
    { name: "Dummy", handler: { code: dummyPaymentHandler.code, arguments: [{ name: "automaticSettle", value: "true" }] } },
  ],
  collections: [],
};

async function main() {
  if (!products) return bootstrap(config);
  const { populate } = installed("@vendure/core/cli");
  const app = await populate(() => bootstrap(config), shop, products);
  await app.close();
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
