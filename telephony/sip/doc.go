// Package sip answers and places phone calls over SIP (RFC 3261): it is the
// telephone line of the engine. A [UserAgent] listens on UDP, TCP and TLS, starts a
// telephony.Handler for each inbound call and dials as a telephony.Dialer.
//
// What it guarantees:
//
//   - No source that matches no trunk costs anything but one look-up: no parse,
//     no transaction, no answer (or one stateless 403, by configuration).
//   - Every message is checked before anything else sees it (RFC 4475); what is
//     wrong with it is answered statelessly, and nothing of it is kept.
//   - One goroutine owns a dialog. Requests reach it in the order of arrival,
//     all requests of our own leave from it, so CSeq, offer/answer and the end
//     of a call have one order.
//   - Each call ends once, with a named cause, and leaves nothing behind: an
//     unacknowledged 200, a 200 that crosses our CANCEL, a BYE that is lost.
//   - A panicking handler ends its own call and no other. Calls of a process that
//     was killed are ended by the next one ([Dialogs]).
//
// The way of a message in: socket (listener.go, stream.go) → source and rate
// (source.go) → packet (packet.go) → checks (validate.go) → either answered
// there (stateless.go) or through sipgo's transactions (stack.go) to the leg
// (leg.go). sipgo's parser, transports and transactions are used and nothing
// above them; stack.go is the only file that knows its transaction layer.
package sip
