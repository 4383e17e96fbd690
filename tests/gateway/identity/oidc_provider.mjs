// A real OpenID provider (npm oidc-provider) with one client; its port and key id are given on the command line.
import {Provider} from 'oidc-provider';
import {generateKeyPair, exportJWK} from 'jose';
const [port, kid] = process.argv.slice(2);
const {privateKey} = await generateKeyPair('RS256', {extractable: true});
const jwk = {...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig'};
const resource = {scope: 'stock.read', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: {sign: {alg: 'RS256'}}};
new Provider(`http://127.0.0.1:${port}`, {
  jwks: {keys: [jwk]},
  clients: [{client_id: 'shop-backend', client_secret: 's3cret', grant_types: ['client_credentials'], redirect_uris: [],
    response_types: [], token_endpoint_auth_method: 'client_secret_post'}],
  scopes: ['stock.read'],
  features: {devInteractions: {enabled: false}, clientCredentials: {enabled: true},
    resourceIndicators: {enabled: true, defaultResource: () => 'https://api.example', useGrantedResource: () => true,
      getResourceServerInfo: () => resource}},
}).listen(Number(port), '127.0.0.1');
