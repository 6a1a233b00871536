// Package webrtc carries calls from browsers: a page sends its offer (WHIP, RFC
// 9725), gets an answer, and is a [telephony.Leg] like any other from then on.
//
//	browser                    Gateway                    telephony.Handler
//	   │ offer (HTTP) ───────────▶│ Answer: one codec, ICE-lite
//	   │◀──────────────── answer  │───────────────────────▶│ ServeCall(leg)
//	   │ STUN, DTLS (UDP, or TCP) │                        │ leg.Answer waits for it
//	   │◀═══════ SRTP ═══════════▶│ rtp.Session on a Wire  │
//
// Every call comes in at one UDP port and the TCP port of the same number: ICE
// tells them apart. We are ICE-lite, which asks nothing of anybody: the browser
// finds the way, so we must be reached at the address we tell.
//
// A leg's sound goes through the same [rtp.Media] as that of telephones: the
// same clock, jitter buffer, keys, reports and figures; a peer connection is
// only the wire. Of pion's interceptors there is that for NACK alone: reports
// are the session's own.
//
// It guarantees:
//   - a browser that does not connect within 15 s, or is gone for as long, ends
//     its call;
//   - when a call has ended no goroutine, port or packet of it is left;
//   - a panic of the handler ends its call and no other.
package webrtc
