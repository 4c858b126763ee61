// An identity provider: oidc-provider, a certified implementation of OpenID Connect, in memory.
// Its settings are JSON in SETTINGS; each token that it issues is a line on stderr.
import { Provider } from "oidc-provider";

const settings = JSON.parse(process.env.SETTINGS);
const service = (id) => ({
  client_id: id,
  client_secret: `${id}-secret`,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
});
const resource = {
  scope: "catalog PRINCIPAL_ROLE:ALL",
  audience: "catalog",
  accessTokenTTL: settings.lifetime,
  accessTokenFormat: "jwt",
  jwt: { sign: { alg: settings.jwks.keys[0].alg } },
};
const provider = new Provider(settings.issuer, {
  jwks: settings.jwks,
  cookies: { keys: ["a key of a test"] },
  clients: [
    ...settings.services.map(service),
    {
      client_id: "cli",
      token_endpoint_auth_method: "none",
      application_type: "native",
      grant_types: [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
      ],
      redirect_uris: ["http://127.0.0.1/callback", "http://127.0.0.1/ui/login/callback"],
      response_types: ["code"],
    },
  ],
  scopes: ["openid", "offline_access", "catalog", "PRINCIPAL_ROLE:ALL"],
  pkce: { required: () => true },
  issueRefreshToken: async (_context, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: async (_context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  extraTokenClaims: async () => ({ groups: settings.groups }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => "urn:catalog",
      getResourceServerInfo: async () => resource,
      useGrantedResource: async () => true,
    },
  },
});
provider.on("grant.success", (context) => {
  console.error(`issued ${context.oidc.client.clientId} ${context.oidc.params.grant_type}`);
});
provider.on("grant.error", (context, error) => {
  console.error(`refused ${error.message} ${error.error_description}`);
});
provider.on("server_error", (context, error) => console.error(error.stack));
const server = provider.listen(settings.port, "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
