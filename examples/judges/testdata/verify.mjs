// Verifies access tokens (RFC 9068) as programs in JavaScript do, with the keys
// of a JWKS that it fetches: once with jose, and once with the Web Crypto API
// alone, which browsers have too.
//
//	node verify.mjs JWKS_URL TOKEN...
//
// It runs in a directory in which jose was installed.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const require = createRequire(join(process.cwd(), 'package.json'))
const jose = await import(pathToFileURL(require.resolve('jose')))
const [url, ...tokens] = process.argv.slice(2)
const bytes = (text) => new TextEncoder().encode(text)

// What a browser asks of the answer to a script of another origin.
const response = await fetch(url, { headers: { Origin: 'https://app.example' } })
assert.equal(response.headers.get('access-control-allow-origin'), '*')
const { keys } = await response.json()

const webCrypto = {
  ES256: [{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'ECDSA', hash: 'SHA-256' }],
  ES384: [{ name: 'ECDSA', namedCurve: 'P-384' }, { name: 'ECDSA', hash: 'SHA-384' }],
  RS256: [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, { name: 'RSASSA-PKCS1-v1_5' }],
  EdDSA: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
}

async function verifyWithWebCrypto(token) {
  const [header, payload, signature] = token.split('.')
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url'))
  const jwk = keys.find((key) => key.kid === kid)
  assert.equal(jwk.alg, alg)
  const [imported, verified] = webCrypto[alg]
  const key = await crypto.subtle.importKey('jwk', jwk, imported, false, ['verify'])
  return crypto.subtle.verify(verified, key, Buffer.from(signature, 'base64url'), bytes(`${header}.${payload}`))
}

const expected = { issuer: 'https://issuer.example', audience: 'https://api.example', requiredClaims: ['exp', 'sub'] }
const jwks = jose.createRemoteJWKSet(new URL(url))
for (const token of tokens) {
  const { payload, protectedHeader } = await jose.jwtVerify(token, jwks, { ...expected, typ: 'at+jwt' })
  assert.equal(payload.sub, '<alice>')
  assert.ok(await verifyWithWebCrypto(token))

  await assert.rejects(jose.jwtVerify(token, jwks, { ...expected, typ: 'JWT' }), { claim: 'typ' })
  const [header, , signature] = token.split('.')
  const forged = Buffer.from(JSON.stringify({ ...payload, sub: 'mallory' })).toString('base64url')
  await assert.rejects(jose.jwtVerify(`${header}.${forged}.${signature}`, jwks, expected), jose.errors.JWSSignatureVerificationFailed)
  assert.ok(!(await verifyWithWebCrypto(`${header}.${forged}.${signature}`)))
  console.log(`accepted ${protectedHeader.alg} ${protectedHeader.typ}`)
}
