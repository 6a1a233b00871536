// Package e2e makes whole calls: through the built binary with scripted
// callers, and between our SIP and RTP and peers that nobody here wrote
// (SIPp, baresip, sipsak), with the sound checked at both ends.
//
// Its tests stand behind the build tag e2e (make e2e). A peer that is not
// installed skips its tests by name. Every test has addresses of its own on
// loopback, waits for what it started, and leaves its traces (scenario
// messages, recordings, process logs) in the test's log when it fails.
package e2e
