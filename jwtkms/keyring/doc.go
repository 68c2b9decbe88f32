// Package keyring lets an issuer of JWTs change its KMS key without a token
// that fails.
//
// KMS does not rotate asymmetric keys: rotation is a new key and a moved alias.
// What goes wrong by hand is timing. Verifiers cache the issuer's public keys,
// and a token signed with a key that they have not fetched yet fails. A [Ring]
// waits with a new key until every verifier must have it, and publishes an old
// one until its last token has expired.
//
//	ring, err := keyring.New(ctx, client, "alias/jwt")
//	...
//	go ring.Run(ctx)
//	mux.Handle("/.well-known/jwks.json", ring)
//	...
//	compact, err := ring.Sign(r.Context(), claims)
//
// A Ring signs with the key behind one alias and publishes the keys behind it
// and behind two more, by default the same name with "-next" and "-prev"
// appended. The aliases are the only state: any number of issuers that read
// them agree, without talking to one another, and after any restart. [Rotate]
// moves the aliases, one step at a time:
//
//	at rest    all three name A           prepare  makes B;      jwt-next -> B
//	prepared   jwt-next names B           promote                jwt      -> B
//	promoted   jwt-prev names A           retire   disables A;   jwt-prev -> B
//	                                      rollback instead:      jwt      -> A
//	rolled back  jwt-next names B         retire   disables B;   jwt-next -> A
//
// [Revoke] takes a compromised key out of use. [Advance] takes the step that is
// due, for a cron. [Inspect] says where a rotation is.
//
// # Assumptions
//
//   - All issuers of a ring have the same [Options] and permissions, and so
//     have those who rotate its key the same [Timing].
//   - Every issuer runs [Ring.Run], and completes a refresh at least every
//     RefreshInterval + F, where F = PropagationDelay - RefreshInterval -
//     MaxAge - Slack. Run refreshes every RefreshInterval and, after a failure,
//     every eighth of it, so F is a tolerance for outages. It is zero by
//     default.
//   - Verifiers keep a JWKS no longer than its max-age says. For those that
//     keep it longer choose a longer MaxAge.
//   - KMS shows a change everywhere, each alias and ListAliases on its own,
//     within K, and clocks differ by at most c, with K + c at most half of
//     Slack. The other half is the longest time that a refresh may take.
//   - Issuers can read a key, and sign with it, from the moment that an alias
//     of the ring names it. If they could not for a time, point its aliases to
//     it again after mending it, so that the delays begin anew.
//
// # Properties
//
// Under these assumptions:
//
//  1. No token fails. Every JWKS that any issuer serves, for as long as a
//     verifier may use it, has the key of every token that any issuer has
//     signed and that lives. The exceptions are tokens of a revoked key, tokens
//     signed when no propagated key could sign, which is logged and told to
//     [Options.OnChange], and steps taken with [RotateOptions.Force].
//  2. Signing goes on. While a key that an alias of the ring names, that is not
//     revoked and that has propagated can sign, Sign succeeds. Calls under way
//     when KMS refuses a key for the first time may each pay another call.
//  3. Nothing stays. A key that no alias names is unpublished at the first
//     refresh after the hold time and after its last token has expired. A
//     revoked key leaves the JWKS within RefreshInterval + Slack at every
//     issuer whose refreshes succeed, and does not sign after KMS shows it as
//     disabled.
//  4. Operators do no harm. Any steps without Force, taken by any number of
//     operators at once, delayed up to their deadline of 30 seconds, killed at
//     any call and taken again, keep the first two properties, disable no key
//     that signs or whose tokens live, and delete no alias. At worst a key is
//     left that was made and never named. Its tag tells it.
//  5. Hands do no harm. Issuers that run throughout keep the first two
//     properties whatever aliases somebody moves, in any order and at any pace.
//     Issuers that start meanwhile keep them if moves are RefreshInterval +
//     Slack apart, and if an alias taken off a key whose tokens live leaves
//     another that has named the key for Slack.
//  6. A side alias does no harm. Whatever KMS answers about the next and the
//     previous alias and about Others, that they are missing, denied, disabled,
//     pending deletion or of another type, issuers start and sign. Only while
//     KMS does not answer does New fail.
//
// # Time constants
//
//   - A key signs once an alias of the ring has named it for PropagationDelay,
//     by KMS's own dates. Until then the Ring signs with the first key behind
//     the signing, the previous and the next alias that has propagated, or else
//     with the key that it has.
//   - Within PropagationDelay - MaxAge every issuer acts on a move. Add
//     MaxLifetime, and the tokens of the key that was replaced have expired.
//     This hold time is what Retire waits for, and what an issuer publishes a
//     key for that no alias names.
//   - Steps that must not meet are kept apart by Slack + 30 seconds. For that
//     long before Retire may be taken Rollback is refused.
//   - MaxAge is announced to verifiers while the last complete refresh began at
//     most RefreshInterval + F ago. After that max-age shrinks.
//   - Slack is a minute by default. If KMS is later than half a minute tokens
//     may fail: AWS says that changes of aliases can take several minutes to be
//     seen everywhere. With a Slack of ten minutes each step waits nine minutes
//     longer.
//
// # What cannot be had
//
//   - An issuer that starts between hand moves that are seconds apart may lose
//     tokens: nobody can tell it of a key that an alias has named in between.
//   - When KMS refuses a key, as many calls may fail once as were under way.
//   - A Prepare or Revoke that is interrupted right after it made a key leaves
//     that key behind, because CreateKey cannot be repeated safely.
//   - Revoke without another key that has propagated fails tokens at verifiers
//     that do not have the new key yet. Keep one prepared: see
//     [RotateOptions.Standby].
//   - Issuers do not see that a key of another account is revoked, nor since
//     when its alias names it, because ListAliases does not go there.
//
// # Cost and permissions
//
// A refresh makes one GetPublicKey call for each alias and one ListAliases call
// for each key. Before another key becomes the signing key it makes a dry run
// of Sign. A token is one Sign call. The permissions are kms:GetPublicKey and
// kms:Sign on the keys, and kms:ListAliases. Without the last, a Ring that was
// just started has to trust that its signing key has propagated, counts for
// other keys from when it first sees them, and does not see that a key is
// revoked.
package keyring
