// A real OpenID provider (npm oidc-provider) with one client, its own sign-in pages, and people whose group is their name.
import {Provider} from 'oidc-provider';
import {generateKeyPair, exportJWK} from 'jose';
const [port, redirect] = process.argv.slice(2);
const {privateKey} = await generateKeyPair('RS256', {extractable: true});
const jwk = {...(await exportJWK(privateKey)), kid: 'k1', alg: 'RS256', use: 'sig'};
new Provider(`http://127.0.0.1:${port}`, {
  jwks: {keys: [jwk]},
  clients: [{client_id: 'crossdock-console', client_secret: 's3cret/', redirect_uris: [redirect], post_logout_redirect_uris: [new URL('/sign-in', redirect).href], response_types: ['code'],
    grant_types: ['authorization_code']}],
  claims: {openid: ['sub'], profile: ['preferred_username', 'groups']},
  findAccount: (_, id) => ({accountId: id, claims: () => ({sub: id, preferred_username: `${id}@corp`, groups: [id]})}),
  pkce: {required: () => true},
  cookies: {keys: ['of these tests only']},
  features: {devInteractions: {enabled: true}},
}).listen(Number(port), '127.0.0.1');
