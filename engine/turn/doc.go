// Package turn decides whose turn it is: a pure state machine over events and
// time, with no goroutine, no clock and no I/O.
//
// Four small regions make its state:
//
//	call    Setup ─answer─▶ Live ⇄ Held          the far end holds
//	                        Live ⇄ Handover      a transfer: announced, then carried out
//	                        Live ─end─▶ Draining ─last word─▶ Ended
//	caller  Quiet ─voice─▶ Onset ─words, 200 ms─▶ Speaking ─end─▶ Pausing ─commit─▶ Quiet
//	        keys are collected beside the voice: they are words that were pressed
//	agent   Idle ─commit─▶ Thinking ─sound─▶ Audible ⇄ Suspended
//	                                         Locked, where nobody may interrupt
//	                                            └─▶ Idle, when played or proven interrupted
//	work    tool calls: proposed, at work, settled, told; a terminal one is armed
//	        until its words were heard
//
// The agent's floor is derived from what is audible. transitions.md has every
// event in every state.
//
// [Machine.Step] takes one event and the time and answers with effects, which
// the session carries out. Deadlines live in the machine: [Machine.Next] says
// when it wants a [Tick]. The same events at the same times give the same
// effects, so a call can be run again from its journal.
//
// Two things run ahead of the regions. A reply may be prepared for words that
// are no turn yet (speculate.go): it is adopted when the turn is taken with the
// same words, discarded otherwise, and nothing else names it until then. And a
// speech-to-speech model's server may say itself when a voice begins and a turn
// ends, before it says which words those were (server.go): its turns are taken
// at its word and amended by the words.
//
// What is guaranteed: effects name only replies that are live; a reply that is
// cancelled or finished never sounds again (INV46); at most one reply is in
// front at a time (INV9); a suspended reply is resumed or cancelled (INV4);
// what was discarded was never heard, and its tools never ran (INV30).
//
// Where to look: machine.go has the state and hands events out, timers.go has
// the deadlines, takes.go says which events count where. The call is in opening, call, hold, handover, silence and
// closing; the caller's floor in caller, endpoint, keys, server and language;
// the agent's in agent and speculate; tools in work, bridge, news and node.
// Words of seven languages are in words, lexicons and phrases, constants in
// policy, and what comes in and goes out in event, effect and kinds.
package turn
