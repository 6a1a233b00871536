package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxResult is how much of a result the model is given, bytes.
const maxResult = 64 << 10

// Results that always read the same.
var (
	timeoutJSON = json.RawMessage(`{"error": "timeout"}`) // word for word (D-12)
	nothingJSON = json.RawMessage(`{"result":null}`)
)

// ReadReply makes a result of what an endpoint answered, by the rules that
// hold for every tool: the model gets a JSON object, never success for
// something that failed. Arrays and scalars are wrapped as {"result": …}, what
// is larger than 64 KiB is cut and says so with "truncated": true. An object
// with an "error" of its own is a result like any other (D-11).
func ReadReply(status int, body []byte) Result {
	raw := bytes.TrimSpace(bytes.TrimPrefix(bytes.ToValidUTF8(body, []byte("\uFFFD")), []byte("\uFEFF")))
	valid := json.Valid(raw)
	if status < 200 || status > 299 {
		r := ErrorResult(Failed, fmt.Sprintf("http_%d", status), "")
		if valid {
			if m := errorText(raw); m != "" {
				r = ErrorResult(Failed, fmt.Sprintf("http_%d", status), m)
			}
		}
		r.HTTP = status
		return r
	}
	if !valid {
		r := ErrorResult(Failed, "invalid_response", "")
		r.Err, r.HTTP = "invalid_response: the endpoint did not answer with JSON", status
		return r
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		r := ErrorResult(Failed, "invalid_response", "")
		r.HTTP = status
		return r
	}
	return Result{JSON: cut(object(b.Bytes())), Status: OK, HTTP: status}
}

// HasError says whether the endpoint itself answered with an "error": the call
// of the tool worked, but its result is not a success to be announced.
func (r Result) HasError() bool {
	var o struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(r.JSON, &o) != nil {
		return true
	}
	switch string(o.Error) {
	case "", "null", "false", `""`:
		return false
	}
	return true
}

// object wraps what is none.
func object(b json.RawMessage) json.RawMessage {
	if len(b) > 0 && b[0] == '{' {
		return b
	}
	return append(append(json.RawMessage(`{"result":`), b...), '}')
}

// errorText is the error that a body names: a string, or an object's message.
func errorText(raw []byte) string {
	var o struct {
		Error any `json:"error"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return ""
	}
	s, ok := o.Error.(string)
	if m, isObject := o.Error.(map[string]any); isObject {
		s, ok = m["message"].(string)
	}
	if !ok {
		return ""
	}
	return clip(s, 500)
}

// clip keeps at most n bytes of s, whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cut shortens a compact JSON object to 64 KiB: members are kept in their
// order while they fit, the first that does not is shortened itself.
func cut(obj json.RawMessage) json.RawMessage {
	if len(obj) <= maxResult {
		return obj
	}
	const mark = `"truncated":true`
	short := shorten(obj, maxResult-len(mark)-2, 0)
	if len(short) < 2 || short[0] != '{' {
		return json.RawMessage("{" + mark + "}")
	}
	inner := short[1 : len(short)-1]
	if len(inner) > 0 {
		inner = append(inner, ',')
	}
	return append(append(append(json.RawMessage{'{'}, inner...), mark...), '}')
}

// shorten gives a valid JSON value of at most room bytes that begins like v,
// nil when there is none. Each level is read again, so the depth is bounded.
func shorten(v json.RawMessage, room, depth int) json.RawMessage {
	if len(v) <= room {
		return v
	}
	if room < 2 || len(v) == 0 || depth > 8 {
		return nil
	}
	switch v[0] {
	case '"':
		return shortenString(v, room)
	case '{':
		ms, err := members(v)
		if err != nil {
			return nil
		}
		out := json.RawMessage{'{'}
		for _, m := range ms {
			key, err := marshal(m.Key)
			if err != nil {
				return nil
			}
			left := room - len(out) - len(key) - 3 // comma, colon, brace
			val := shorten(m.Value, left, depth+1)
			if val == nil {
				break
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(append(out, key...), ':'), val...)
			if len(val) < len(m.Value) {
				break
			}
		}
		return append(out, '}')
	case '[':
		var items []json.RawMessage
		if json.Unmarshal(v, &items) != nil {
			return nil
		}
		out := json.RawMessage{'['}
		for _, it := range items {
			val := shorten(it, room-len(out)-2, depth+1)
			if val == nil {
				break
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, val...)
			if len(val) < len(it) {
				break
			}
		}
		return append(out, ']')
	}
	return nil
}

func shortenString(v json.RawMessage, room int) json.RawMessage {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return nil
	}
	for n := min(len(s), room-2); n > 0; n = n * 9 / 10 {
		if b, err := marshal(clip(s, n)); err == nil && len(b) <= room {
			return b
		}
	}
	return json.RawMessage(`""`)
}

// member is one member of a JSON object.
type member struct {
	Key   string
	Value json.RawMessage
}

// members are the members of an object in their order.
func members(obj json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(obj))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	var out []member
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{}
		m.Key, _ = k.(string)
		if err := d.Decode(&m.Value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// objectOf writes members as a JSON object, in their order.
func objectOf(ms []member) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(&b, m.Key)
		b.WriteByte(':')
		b.Write(m.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// marshal is JSON without escaping <, > and &.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// without blots secrets out of a body, as they are and as JSON writes them, so
// that an endpoint that echoes its request does not tell them to the model.
func without(body []byte, secrets []string) []byte {
	const least = 6 // bytes; what is shorter occurs by chance
	for _, s := range secrets {
		if len(s) < least {
			continue
		}
		body = bytes.ReplaceAll(body, []byte(s), []byte("***"))
		if j, err := json.Marshal(s); err == nil {
			body = bytes.ReplaceAll(body, []byte(strings.Trim(string(j), `"`)), []byte("***"))
		}
		if j, err := marshal(s); err == nil {
			body = bytes.ReplaceAll(body, j[1:len(j)-1], []byte("***"))
		}
	}
	return body
}
