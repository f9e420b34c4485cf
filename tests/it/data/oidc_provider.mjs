// An independent OpenID provider for the interoperability stories.
//
//   node oidc_provider.mjs PORT FOLDER JWK     FOLDER holds node_modules/oidc-provider
//
// The client "jwt" gets JWT access tokens for the audience "gateway", the client "opaque" gets opaque
// ones of the subject "robot", "nameless" such of no subject; "gateway" may introspect, and so may
// "gateway-key", whose public key is JWK.
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [port, folder, jwk] = process.argv.slice(2);
const entry = `${folder}/node_modules/oidc-provider/lib/index.js`;
const { default: Provider } = await import(pathToFileURL(entry).href);

const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  alg,
  kid: `key-${alg}`,
});
const client = (id, grants) => ({
  client_id: id,
  client_secret: `secret of ${id}`,
  grant_types: grants,
  response_types: [],
  redirect_uris: [],
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client('jwt', ['client_credentials']),
    client('opaque', ['client_credentials']),
    client('nameless', ['client_credentials']),
    client('gateway', ['client_credentials']),
    {
      ...client('gateway-key', ['client_credentials']),
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [JSON.parse(jwk)] },
    },
  ],
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }, 'RS256'),
      key('ec', { namedCurve: 'P-256' }, 'ES256'),
    ],
  },
  extraTokenClaims: (_, token) => (token.clientId === 'opaque' ? { sub: 'robot' } : undefined),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:example:gateway',
      getResourceServerInfo: (_, __, caller) => ({
        scope: 'orders.read',
        audience: 'gateway',
        accessTokenTTL: 600,
        accessTokenFormat: caller.clientId === 'jwt' ? 'jwt' : 'opaque',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
