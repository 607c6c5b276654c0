// An OpenID Connect provider for the tests: node provider.mjs FOLDER PORT REDIRECT_URI
// FOLDER holds node_modules. Whoever gives any name and any password is let in under that name.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, port, redirectUri] = process.argv.slice(2);
const found = createRequire(`${folder}/package.json`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found).href);

const issuer = `http://127.0.0.1:${port}`;
const common = {
  redirect_uris: [redirectUri],
  response_types: ['code'],
  grant_types: [
    'authorization_code',
    'refresh_token',
    'urn:ietf:params:oauth:grant-type:device_code',
  ],
};
const provider = new Provider(issuer, {
  clients: [
    { ...common, client_id: 'cairn', client_secret: 'a secret of & = the tests' },
    { ...common, client_id: 'public', token_endpoint_auth_method: 'none' },
    { ...common, client_id: 'hmac', client_secret: 'x'.repeat(40), id_token_signed_response_alg: 'HS256' },
  ],
  cookies: { keys: ['only for tests'] },
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'HS256'] },
  pkce: { required: () => true },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
