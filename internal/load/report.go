package load

// caller is one call as it was. It belongs to the goroutine of its call, its
// packets and utterances to the pump while the stream runs.
type caller struct {
	id       string // Call-ID
	placed   int64
	answered int64
	refused  int64 // the final answer that was none; 0: there was none
	status   int   // of it
	after    int   // s, what it said of coming again; 0: nothing
	ended    int64
	byed     int64 // by the engine, 0: it was not
	fault    error
	packets  []Packet
	said     []Said
	dead     int
}

// Call is one call of the window.
type Call struct {
	ID    string `json:"id"`              // Call-ID
	Fault string `json:"fault,omitempty"` // why it failed
	Turns []Turn `json:"turns,omitempty"` // that began in the window

	Status int `json:"status,omitempty"`      // what the call was refused with
	After  int `json:"retry_after,omitempty"` // s, of that answer

	// Unix time, ns, 0 for what did not come.
	Placed      int64 `json:"placed,omitempty"` // the INVITE was sent
	Refused     int64 `json:"refused,omitempty"`
	Answered    int64 `json:"answered,omitempty"`     // the 200 came
	FirstPacket int64 `json:"first_packet,omitempty"` // of RTP
	FirstSpeech int64 `json:"first_speech,omitempty"` // 60 ms of it begin there
	LastSpeech  int64 `json:"last_speech,omitempty"`  // the last packet with speech
	Byed        int64 `json:"byed,omitempty"`         // the engine's BYE came
}

// Report is what the crowd found.
type Report struct {
	Calls       []Call  `json:"calls"`
	From        int64   `json:"from"` // the window, Unix time, ns
	To          int64   `json:"to"`
	CallSeconds float64 `json:"call_seconds"` // that calls were up in the window
	Packets     int     `json:"packets"`
	Lost        int     `json:"lost"`
	Order       int     `json:"out_of_order"`
	Jumps       int     `json:"timestamp_jumps"`
	Holes       int     `json:"holes_60ms"`
	Unanswered  int     `json:"unanswered"` // utterances that no answer followed
	Gaps        Spread  `json:"gaps"`       // between packets, ms
	Pacing      Spread  `json:"pacing"`     // how far those are from 20 ms, ms
	Late        Spread  `json:"late"`       // of the callers' own packets, ms: the noise of this machine
}

// Spread is the middle and the end of a distribution.
type Spread struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func spreadOf(ns []int64) Spread {
	ms := make([]float64, len(ns))
	for i, x := range ns {
		ms[i] = float64(x) / 1e6
	}
	at := func(q float64) float64 { return Percentile(ms, q) }
	return Spread{at(0.5), at(0.9), at(0.95), at(0.99), at(0.999), at(1)}
}

// report puts the calls together.
func (c *crowd) report() *Report {
	r := &Report{From: c.from, To: c.to, Late: spreadOf(c.pump.late)}
	var gaps, errors []int64
	for _, cl := range c.done {
		call := Call{ID: cl.id, Placed: cl.placed, Refused: cl.refused, Status: cl.status, After: cl.after}
		if cl.fault != nil {
			call.Fault = cl.fault.Error()
		}
		if cl.answered != 0 {
			call.Answered, call.Byed = cl.answered, cl.byed
			call.FirstPacket, call.FirstSpeech, call.LastSpeech = ends(cl.packets)
			r.CallSeconds += float64(max(0, min(cl.ended, c.to)-max(cl.answered, c.from))) / 1e9
			s := judge(cl.packets, cl.said, c.from, min(c.to, cl.ended))
			r.Packets += s.Packets
			r.Lost += s.Lost
			r.Order += s.Order
			r.Jumps += s.Jumps
			r.Holes += s.Holes
			gaps = append(gaps, s.Gaps...)
			r.Unanswered += cl.dead
			for _, t := range turns(cl.packets, cl.said) {
				if t.Reply > c.to { // the goodbye
					t.Reply = 0
				}
				if t.First >= c.from && t.First <= c.to {
					call.Turns = append(call.Turns, t)
				}
			}
		}
		r.Calls = append(r.Calls, call)
	}
	for _, g := range gaps {
		errors = append(errors, max(g-frameTime, frameTime-g))
	}
	r.Gaps, r.Pacing = spreadOf(gaps), spreadOf(errors)
	return r
}
