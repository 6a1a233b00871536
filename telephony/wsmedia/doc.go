// Package wsmedia takes calls that carriers bring over WebSockets: Twilio's
// Media Streams and Telnyx' media streaming. One file is one carrier; a further
// one is a file and a line of the table in dialect.go.
//
// The carrier asks for instructions when its number is called, is told to open
// a WebSocket, and sends JSON there, one chunk of sound in each message:
//
//	carrier  POST …/v1/trunks/NAME/voice               signed; From, To, CallSid
//	us       <Connect><Stream url="wss://…/TOKEN"/>    or <Reject/>
//	carrier  GET …/v1/trunks/NAME/stream/TOKEN         upgrade; signed by Twilio
//	carrier  connected, start, media media dtmf media … stop
//	us       media media mark … clear
//
// It guarantees that a stream is opened by a request whose signature was right,
// once, within a minute of it; that a leg is given one frame each 20 ms,
// whatever the network bunches or loses; that a carrier is given sound at most
// Lead ahead of real time; and that [telephony.Flusher] tells to the sample what
// it was given and did not play, as far as its marks tell.
package wsmedia
