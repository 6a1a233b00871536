package cluster

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzBus reads whatever may come over the bus, as each of its messages: what is
// taken can be written again, and an event can be put into a stream of lines.
func FuzzBus(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `[]`, `{"do":"say","text":"x"}`, `{"do":"transfer","transfer":{"To":"+49"}}`,
		`{"fault":"no_call"}`, `{"seq":0,"name":"campaign.paused","body":{}}`, `{"rate":8000}`, `{"kind":"keys"}`, `{"seq":1,"name":"call.ended","body":{"seq":1}}`,
		"{\"seq\":1,\"name\":\"x\",\"body\":{\n}}", `{"seq":1,"name":"x\ny","body":{}}`, `{"seq":1,"name":"x","body":7}`,
		`{"id":"0123456789ab","name":"a","calls":3}`, `{"id":"a.b"}`, `{"id":"x","calls":-1}`, "s\x00\x00\x00\x01abcd", "o\x00\x00\x00\x02", "s\x00\x00\x00\x00a",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := readEvent(b); err == nil {
			if e.Name == "" || e.Seq < 0 || bytes.ContainsAny(e.Body, "\r\n") || !json.Valid(e.Body) {
				t.Errorf("event %+v", e)
			}
		}
		if c, err := readCommand(b); err == nil {
			again(t, c)
		}
		if r, err := readReply(b); err == nil {
			again(t, r)
		}
		if c, err := readChange(b); err == nil && c.Kind == "" {
			t.Error("a change of nothing")
		}
		if p, err := readNotice(b); err == nil && (!inSubject(p.ID) || p.Calls < 0) {
			t.Errorf("node %+v", p)
		}
		if s, err := readBlock(b); err == nil && s.kind == soundBlock && !bytes.Equal(s.bytes(), b) {
			t.Errorf("block %v of %v", s, b)
		}
	})
}

func again(t *testing.T, v any) {
	t.Helper()
	if _, err := json.Marshal(v); err != nil {
		t.Errorf("%+v: %v", v, err)
	}
}
