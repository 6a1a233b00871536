package api

import (
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools"
)

// H-28: a deferred result is brought to HubSpot's path, once, by who may
// control calls.
func TestCompletedCallbacks_H28(t *testing.T) {
	t.Parallel()
	cb := tools.NewCallbacks("")
	f := newFixture(t, func(c *Config) { c.Callbacks = cb })
	id := cb.ID(tools.Call{ID: "c1"})
	cb.Expect(id)
	const path = "/automation/v4/actions/callbacks/"
	for _, c := range []struct {
		name, id, body, key string
		status              int
	}{
		{"no key", id, `{"outputFields":{}}`, "nope", 401},
		{"a key that may only read", id, `{"outputFields":{}}`, readKey, 403},
		{"another callback", "ap-1", `{"outputFields":{}}`, opsKey, 404},
		{"no outputs", id, `{}`, opsKey, 422},
		{"outputs that are none", id, `{"outputFields":[1]}`, opsKey, 422},
		{"the result", id, `{"outputFields":{"booking_id":"B9","hs_execution_state":"SUCCESS"},"typedOutputs":false}`, opsKey, 204},
		{"once more", id, `{"outputFields":{"booking_id":"B10"}}`, opsKey, 404},
	} {
		if a := f.do("POST", path+c.id+"/complete", c.body, "X-API-Key", c.key); a.StatusCode != c.status || c.status == 204 && a.text != "" {
			t.Errorf("%s: %d %s", c.name, a.StatusCode, a.text)
		}
	}
	got, err := cb.Wait(t.Context(), id, time.Minute)
	if err != nil || string(got) != `{"booking_id":"B9","hs_execution_state":"SUCCESS"}` {
		t.Errorf("%s, %v", got, err)
	}
}
