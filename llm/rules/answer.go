package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/osteele/liquid"

	"github.com/patchcord/patchcord/llm"
)

// ownNames are the names that sentences and arguments have besides captures.
var ownNames = []string{"result", "args", "context", "state"}

// Answer is what is said and called.
type Answer struct {
	Say   string
	Calls []llm.ToolCall
}

// memory is what a conversation has come to. It is made anew of the messages
// for every answer, so the answer depends on nothing else.
type memory struct {
	rules   *Rules
	state   string
	vars    map[string]any // captures, the latest of each name
	context map[string]any // what pre-call tools found
	fired   map[any]int    // rule or kind of sentence to times
	calls   map[string]llm.ToolCall
	count   int // tool calls so far
}

// Answer answers the last message of a conversation.
func (r *Rules) Answer(q llm.Request) Answer {
	m := &memory{
		rules: r, vars: map[string]any{}, context: map[string]any{}, fired: map[any]int{}, calls: map[string]llm.ToolCall{},
	}
	// What asks for an answer: the last thing the caller said, or the results
	// of the tools that were called last.
	first, last := -1, -1
	for i, msg := range q.Messages {
		switch msg.Role {
		case llm.User:
			if !msg.Data || i == len(q.Messages)-1 && strings.HasPrefix(msg.Content, llm.NewsPrefix) {
				first, last = i, i
			}
		case llm.ToolRole:
			if last < 0 || last < i-1 || q.Messages[last].Role != llm.ToolRole {
				first = i
			}
			last = i
		case llm.System, llm.Assistant:
		}
	}
	var pending []Answer
	for i, msg := range q.Messages {
		offered := func(string) bool { return true } // what is past was offered then
		if i >= first {
			offered = func(tool string) bool { return isOffered(q, tool) }
		}
		var a Answer
		switch msg.Role {
		case llm.System:
			m.learn(msg.Content)
			continue
		case llm.Assistant:
			for _, c := range msg.ToolCalls {
				m.calls[c.ID] = c
				m.count++
			}
			continue
		case llm.User:
			if msg.Data && i != last {
				m.learn(msg.Content)
				continue
			}
			if msg.Data {
				pending = append(pending, m.news(msg.Content, q.Messages, offered)...)
				continue
			}
			a = m.user(msg.Content, offered)
		case llm.ToolRole:
			a = m.result(msg, offered)
		}
		if i >= first {
			pending = append(pending, a)
		}
	}
	if last < 0 {
		return m.begin()
	}
	return m.join(pending)
}

func isOffered(q llm.Request, tool string) bool {
	return q.ToolChoice != "none" && slices.ContainsFunc(q.Tools, func(t llm.Tool) bool { return t.Name == tool })
}

// join is one answer of those to the results of several tools.
func (m *memory) join(pending []Answer) Answer {
	var out Answer
	var said []string
	for _, a := range pending {
		if a.Say != "" && !slices.Contains(said, a.Say) {
			said = append(said, a.Say)
		}
		out.Calls = append(out.Calls, a.Calls...)
	}
	out.Say = strings.Join(said, " ")
	for i := range out.Calls {
		m.count++
		out.Calls[i].ID = fmt.Sprintf("rules_%d", m.count)
	}
	return out
}

// begin is the answer before the caller has said anything.
func (m *memory) begin() Answer {
	if len(m.rules.start) == 0 {
		return Answer{Say: m.turn("otherwise", m.rules.otherwise, scope{})}
	}
	return Answer{Say: m.turn("start", m.rules.start, scope{})}
}

// news answers what tools have come to in the meantime, a line each.
func (m *memory) news(text string, all []llm.Message, offered func(string) bool) (out []Answer) {
	for line := range strings.Lines(text) {
		var n struct {
			ID     string          `json:"id"`
			Result json.RawMessage `json:"result"`
		}
		body, is := strings.CutPrefix(line, llm.NewsPrefix)
		if !is || json.Unmarshal([]byte(body), &n) != nil {
			continue
		}
		for _, msg := range all {
			if len(n.Result) == 0 && msg.Role == llm.ToolRole && msg.ToolCallID == n.ID {
				n.Result = json.RawMessage(msg.Content)
			}
		}
		out = append(out, m.result(llm.Message{ToolCallID: n.ID, Content: string(n.Result)}, offered))
	}
	return out
}

// learn takes what pre-call tools found out of a message.
func (m *memory) learn(text string) {
	for {
		i := strings.Index(text, strings.TrimSpace(llm.ContextPrefix))
		if i < 0 {
			return
		}
		text = text[i+len(strings.TrimSpace(llm.ContextPrefix)):]
		var found map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&found) != nil {
			continue
		}
		for k, v := range found {
			m.context[k] = numbers(v)
		}
	}
}

var hint = regexp.MustCompile(`\[[^\]]*\]`)

// user answers what the caller said.
func (m *memory) user(said string, offered func(string) bool) Answer {
	text := normal(hint.ReplaceAllString(said, " "))
	if text == "" {
		return Answer{Say: m.turn("not understood", m.rules.notUnderstood, scope{})}
	}
	for _, r := range m.rules.rules {
		for _, p := range r.when {
			got, ok := p.match(text, m.rules.numerals)
			if !ok {
				continue
			}
			if a, ok := m.fire(r, got, scope{}, offered); ok {
				return a
			}
		}
	}
	return Answer{Say: m.turn("otherwise", m.rules.otherwise, scope{})}
}

// scope is what a tool answered, and what it was asked.
type scope struct{ result, args map[string]any }

// result answers the result of a tool.
func (m *memory) result(msg llm.Message, offered func(string) bool) Answer {
	c := m.calls[msg.ToolCallID]
	s := scope{result: object(msg.Content), args: object(string(c.Args))}
	for _, r := range m.rules.rules {
		if r.after == "" || r.after != c.Name {
			continue
		}
		if a, ok := m.fire(r, nil, s, offered); ok {
			return a
		}
	}
	if c.Name == EndCall {
		return Answer{}
	}
	failed := m.rules.failed
	if len(failed) == 0 {
		failed = m.rules.otherwise
	}
	return Answer{Say: m.turn("failed", failed, s)}
}

// fire lets a rule answer, if it fits. What it captures is kept.
func (m *memory) fire(r *rule, got map[string]any, s scope, offered func(string) bool) (Answer, bool) {
	if r.states != nil && !slices.Contains(r.states, m.state) {
		return Answer{}, false
	}
	vars := maps.Clone(m.vars)
	maps.Copy(vars, got)
	if r.cond != nil {
		v, err := expr.Run(r.cond, map[string]any{
			"result": s.result, "args": s.args, "vars": vars, "context": m.context, "state": m.state,
		})
		if ok, isBool := v.(bool); err != nil || !isBool || !ok {
			return Answer{}, false
		}
	}
	var a Answer
	names := m.names(vars, s)
	for _, c := range r.calls {
		args, ok := fill(c.args, names)
		if !ok || !offered(c.tool) && (c.tool != EndCall || len(r.say) == 0) {
			return Answer{}, false
		}
		if !offered(c.tool) {
			continue // a goodbye is said all the same
		}
		b, err := marshal(args)
		if err != nil {
			return Answer{}, false
		}
		a.Calls = append(a.Calls, llm.ToolCall{Name: c.tool, Args: b})
	}
	m.vars = vars
	a.Say = m.turn(r, r.say, s)
	if r.next != nil {
		m.state = *r.next
	}
	return a, true
}

// turn is the next of several sentences.
func (m *memory) turn(of any, sentences []*liquid.Template, s scope) string {
	n := m.fired[of]
	m.fired[of]++
	if len(sentences) == 0 {
		return ""
	}
	out, err := sentences[n%len(sentences)].Render(m.names(m.vars, s))
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// names are what sentences and arguments can use.
func (m *memory) names(vars map[string]any, s scope) map[string]any {
	out := maps.Clone(vars)
	out["result"], out["args"], out["context"], out["state"] = s.result, s.args, m.context, m.state
	return out
}

func conditionNames() map[string]any {
	o := map[string]any{}
	return map[string]any{"result": o, "args": o, "vars": o, "context": o, "state": ""}
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_.-]*)\}`)

// fill puts captures into arguments; false when one of them was not said.
func fill(v any, names map[string]any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return map[string]any{}, true
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			f, ok := fillValue(e, names)
			if !ok {
				return nil, false
			}
			out[k] = f
		}
		return out, true
	}
	return fillValue(v, names)
}

func fillValue(v any, names map[string]any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return fill(v, names)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			f, ok := fillValue(e, names)
			if !ok {
				return nil, false
			}
			out[i] = f
		}
		return out, true
	case string:
		if m := placeholder.FindStringSubmatch(v); m != nil && m[0] == v {
			got := dig(names, m[1])
			return got, got != nil
		}
		ok := true
		s := placeholder.ReplaceAllStringFunc(v, func(p string) string {
			got := dig(names, p[2:len(p)-1])
			ok = ok && got != nil
			return fmt.Sprint(got)
		})
		return s, ok
	}
	return v, true
}

// dig finds a value by the way to it through objects.
func dig(m map[string]any, path string) any {
	head, rest, more := strings.Cut(path, ".")
	if !more {
		return m[head]
	}
	inner, ok := m[head].(map[string]any)
	if !ok {
		return nil
	}
	return dig(inner, rest)
}

// object is a JSON object as sentences see it, empty for anything else.
func object(s string) map[string]any {
	out := map[string]any{}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if d.Decode(&out) != nil || out == nil {
		return map[string]any{}
	}
	for k, v := range out {
		out[k] = numbers(v)
	}
	return out
}

// numbers makes whole numbers of those that are: 4500 is not said 4.5e+03.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	}
	return v
}

func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// newEngine is Liquid with our filters.
func newEngine() *liquid.Engine {
	e := liquid.NewEngine()
	e.RegisterFilter("digits", func(v any) string {
		var out []string
		for _, r := range fmt.Sprint(v) {
			if r != ' ' {
				out = append(out, string(r))
			}
		}
		return strings.Join(out, " ")
	})
	// Liquid's own prepend puts its text before nothing too; a name that is not
	// known leaves no comma behind.
	e.RegisterFilter("prepend", func(v any, before string) string {
		if v == nil || fmt.Sprint(v) == "" {
			return ""
		}
		return before + fmt.Sprint(v)
	})
	e.RegisterFilter("append", func(v any, after string) string {
		if v == nil || fmt.Sprint(v) == "" {
			return ""
		}
		return fmt.Sprint(v) + after
	})
	return e
}

var objects = regexp.MustCompile(`\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)`)

// roots are the names that the objects of a template begin with.
func roots(s string) []string {
	var out []string
	for _, m := range objects.FindAllStringSubmatch(s, -1) {
		switch m[1] {
		case "true", "false", "nil", "empty", "blank", "forloop":
		default:
			out = append(out, m[1])
		}
	}
	return out
}
