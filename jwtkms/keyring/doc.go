// Package keyring lets an issuer of JWTs change its KMS key without failing the
// verification of any token.
//
// KMS does not rotate asymmetric keys. To rotate one, an operator makes a new
// key and points an alias to it. The timing is easy to get wrong by hand.
// Verifiers cache the issuer's public keys, and a token signed with a key that
// they have not fetched yet fails. A [Ring] publishes a new key at once, but
// signs with it only when every verifier must have fetched it. It publishes an
// old key until the last token signed with it has expired.
//
//	ring, err := keyring.New(ctx, client, "alias/jwt")
//	...
//	go ring.Run(ctx)
//	mux.Handle("/.well-known/jwks.json", ring)
//	...
//	compact, err := ring.Sign(r.Context(), claims)
//
// A Ring signs with the key behind one alias, the signing alias. It publishes
// that key and the keys behind two more aliases, the next alias and the
// previous alias. By default their names are that of the signing alias with
// "-next" and "-prev" appended. The aliases and the issuers that read them are
// called a ring. The aliases are the only state. Issuers that read them agree
// on the keys, without talking to one another and also after a restart.
// [Rotate] takes one step of a rotation, which moves the aliases. Each line
// below has a state, what the aliases name in it, a step that can be taken, and
// what that step does. A is the old key and B the new one:
//
//	at rest    all three name A           prepare  makes B;      jwt-next -> B
//	prepared   jwt-next names B           promote                jwt      -> B
//	promoted   jwt-prev names A           retire   disables A;   jwt-prev -> B
//	                                      rollback instead:      jwt      -> A
//	rolled back  jwt-next names B         retire   disables B;   jwt-next -> A
//
// Two more steps are [Revoke], which takes a compromised key out of use, and
// [Advance], which takes the step that is due, so that a cron job can rotate
// the key. [Inspect] reports how far a rotation is. The program examples/rotate
// takes the steps from a command line.
//
// # Assumptions
//
//   - All issuers of a ring have the same [Options] and the same permissions.
//     Whoever rotates the key uses the same [Timing] as the issuers.
//   - Every issuer runs [Ring.Run] and completes a refresh at least once in
//     each RefreshInterval + F. F is how late a refresh may be, for example
//     because of an outage of KMS. It is PropagationDelay - RefreshInterval -
//     MaxAge - Slack, which is zero by default. To tolerate outages, choose a
//     longer PropagationDelay. Ring.Run refreshes every RefreshInterval, and
//     more often after a failure.
//   - Verifiers cache a JWKS no longer than its max-age says. If some verifiers
//     cache it longer, choose a MaxAge of at least that time.
//   - KMS shows a change everywhere within a time K. Until then, some calls see
//     the change and others do not. The clocks of issuers, operators and KMS
//     differ by at most a time c. K + c is at most half of Slack. The other
//     half of Slack is the longest time that a refresh may take.
//   - Issuers can read a key and sign with it as soon as an alias of the ring
//     names it. If they could not, for example because of the key policy,
//     correct that first. Then point the aliases of the key to it again, so
//     that the delays start again.
//
// # Properties
//
// A key has propagated when an alias of the ring has named it for
// PropagationDelay, so that every verifier must have fetched it. A token lives
// until it expires. The hold time is how long the tokens of a replaced key may
// live (see "Time constants"). Under the assumptions above:
//
//  1. No token fails. As long as a verifier may use a JWKS of any issuer, that
//     JWKS has the key of every living token of every issuer. There are three
//     exceptions: tokens of a revoked key, tokens signed while no propagated
//     key can sign, and steps taken with [RotateOptions.Force]. When an issuer
//     changes over to a key that has not propagated, it logs that and calls
//     [Options.OnChange].
//  2. Signing goes on. [Ring.Sign] succeeds as long as KMS signs with at least
//     one key that the signing, the previous or the next alias names, that is
//     not revoked, and that has propagated. When KMS begins to refuse a key,
//     each Sign under way may need an additional call to KMS.
//  3. Old keys leave. If no alias names a key, an issuer stops publishing it
//     at the first complete refresh after the hold time has passed and the
//     last token that the issuer signed with the key has expired. The hold
//     time begins when the issuer first sees that no alias names the key and
//     that every issuer has another key to sign with. Every issuer whose
//     refreshes succeed stops publishing a revoked key within RefreshInterval
//     + Slack. A revoked key does not sign once KMS shows it as disabled.
//  4. Steps do no harm. Steps without Force keep properties 1 and 2, even if
//     several operators take steps at once, if a step is slow, or if a step is
//     killed at any call and taken again. A step stops itself after 30
//     seconds. Steps other than Revoke never disable a key that signs or whose
//     tokens live. No step deletes an alias. At worst, a step that is killed
//     leaves a key that no alias names. [RotateOptions.Leftovers] finds such
//     keys by their tag.
//  5. Moving aliases by hand does no harm. Issuers that run throughout keep
//     properties 1 and 2 whichever aliases are moved, in any order and at any
//     pace. Issuers that start in the meantime keep them under two conditions.
//     Any two moves are at least RefreshInterval + Slack apart. An alias is
//     moved away from a key whose tokens live only if another alias of the
//     ring has named that key for at least Slack.
//  6. The other aliases do no harm. Issuers start and sign even if KMS answers
//     that the next alias, the previous alias or one of [Options.Others] does
//     not exist, or that its key is denied, disabled, pending deletion or of
//     an unsupported type. [New] fails because of one of these only if KMS
//     does not answer, or answers with another error, such as throttling.
//
// # Time constants
//
//   - A key has propagated when an alias of the ring has named it for
//     PropagationDelay, by the dates that KMS keeps. The Ring signs with the
//     key of the signing alias if that has propagated, or else with that of the
//     previous alias, or else with that of the next alias. If none of them has
//     propagated, the Ring goes on signing with the same key as before. A Ring
//     that has just started then signs with the key that an alias has named
//     longest.
//   - Every issuer acts on a moved alias within PropagationDelay - MaxAge. The
//     hold time is PropagationDelay - MaxAge + MaxLifetime. When it has passed,
//     all tokens of the replaced key have expired. Retire waits for the hold
//     time after Promote or Rollback. An issuer publishes a key that no alias
//     names for the hold time. By default, PropagationDelay is 11 minutes and
//     the hold time is 66 minutes.
//   - Steps that must not overlap are kept apart by Slack + 30 seconds.
//     Rollback is refused from Slack + 30 seconds before Retire may be taken.
//   - The max-age of the JWKS is MaxAge if the last complete refresh began at
//     most RefreshInterval + F ago. After that, the max-age shrinks to no less
//     than five seconds.
//   - Slack is one minute by default, half of which is for KMS to show a change
//     everywhere. If KMS takes longer, tokens may fail. AWS says that a moved
//     alias can take several minutes to be seen everywhere. A Slack of ten
//     minutes allows for that, and makes each step wait nine minutes longer.
//
// # Several Regions
//
// The issuers of a ring of multi-Region keys may use package multiregion, so
// that they go on while a Region is not available. Each Region has its own
// aliases. [RotateOptions.Regions] makes [Rotate] take each step in all of
// them:
//
//   - A step changes nothing unless every Region can be read, is where the step
//     begins or where it ends, and would not refuse it. The dates that a step
//     waits for are the latest of all Regions.
//   - Prepare also makes the replicas of the new key, which needs
//     kms:ReplicateKey. It points the next alias to the key when every replica
//     can sign. If that takes longer than a few seconds, Prepare fails with
//     [ErrTooEarly], and goes on with the same key when it is taken again.
//   - A step that is interrupted between two Regions leaves them different.
//     [Inspect] says which step finishes it, and the same step or Advance does.
//     While the Regions differ, refreshes fail, issuers keep the keys that they
//     have, and an issuer that starts may fail to.
//   - Revoke does not wait for a Region that cannot be read. It revokes the key
//     in the others and returns an error. Revoke taken again, or Advance,
//     finishes it when the Region can be read.
//
// # Limitations
//
//   - If aliases are moved by hand within seconds, tokens may fail at an issuer
//     that starts in between. KMS does not say which keys an alias named
//     before, so that issuer does not publish them.
//   - When KMS begins to refuse a key, all Sign calls to KMS with that key that
//     are under way may fail. [Ring.Sign] then signs with another key.
//   - A Prepare or Revoke that is interrupted right after it made a key leaves
//     that key behind, because CreateKey cannot be repeated safely.
//   - If no other key has propagated when the signing key is revoked, new
//     tokens fail at verifiers that have not fetched the replacement yet. To
//     avoid this, always keep a key prepared. [RotateOptions.Standby] does so.
//   - ListAliases does not work across accounts. Issuers therefore cannot see
//     whether a key of another account is revoked, or since when an alias has
//     named it.
//
// # Cost and permissions
//
// A refresh makes one GetPublicKey call for each alias and one ListAliases call
// for each key. Before a refresh changes the signing key, it makes a dry run: a
// Sign call for which KMS makes no signature. Each token costs one Sign call.
// An issuer needs kms:GetPublicKey and kms:Sign on the keys, and
// kms:ListAliases. Without kms:ListAliases, a Ring assumes that the keys that
// it finds when it starts have propagated. It counts the PropagationDelay of a
// later key from the refresh that first finds it. It does not see that a key is
// revoked. Without ListAliases, no step of Rotate works either.
package keyring
