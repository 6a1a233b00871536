package tools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hint is one line of the usual faults of tools and what to do about them.
type Hint struct {
	Problem  string `json:"problem"`
	Cause    string `json:"cause,omitempty"`
	Solution string `json:"solution,omitempty"`
}

// slowReply is how long a caller waits without noticing; what takes longer
// needs a sentence.
const slowReply = 2 * time.Second

// What is said more than once.
const (
	nothingArrives = "no information reaches the endpoint"
	reachable      = "check that the URL is https and can be reached from everywhere"
)

// diagnose tells the usual faults that a trial shows (C-21).
func diagnose(t Tool, args json.RawMessage, r Result, users []User) []Hint {
	var out []Hint
	add := func(problem, cause, solution string) { out = append(out, Hint{problem, cause, solution}) }
	d := t.Definition()
	if !d.IsEnabled() {
		add("the tool does not run", "is_enabled is false", "set is_enabled: true")
	}
	var e struct {
		Error   string   `json:"error"`
		Details []string `json:"details"`
	}
	if json.Unmarshal(r.JSON, &e) != nil {
		e.Error = ""
	}
	if r.Status == OK {
		e.Error = "" // the endpoint's own word
	}
	switch {
	case e.Error == "blocked_url":
		add(nothingArrives, "its URL is not https, or its address is not public",
			reachable+"; an address of one's own is named in tools.allow_cidrs")
	case e.Error == "blocked_secret":
		add(nothingArrives, strings.TrimPrefix(r.Err, "blocked_secret: "),
			"mend the URL, or add its host to the secret's hosts in the configuration")
	case e.Error == "unreachable":
		why := strings.TrimPrefix(r.Err, "unreachable: ")
		add(nothingArrives, "the endpoint cannot be reached, or the URL is wrong ("+why+")", reachable)
	case e.Error == "invalid_arguments":
		add("fields are missing", "identifiers or required are not well defined, or the agent did not collect the data ("+
			strings.Join(e.Details, "; ")+")",
			"check the parameters, and have the prompt ask for the data and confirm them before the tool is called")
	case e.Error == "missing_variable":
		add("the tool does not run", "a placeholder has no value ("+strings.TrimPrefix(r.Err, "missing_variable: ")+")",
			"add it under secrets:, give it as a variable of the call, or mend its name")
	case r.Status == TimedOut:
		add("the endpoint does not answer in time", fmt.Sprintf("it took longer than %v", d.Timeout()),
			"make it answer sooner, or set a longer timeout (60 s at most)")
	case e.Error == "invalid_response":
		add("the agent cannot use the answer", "it is not JSON, or is too large",
			"answer with one JSON object, such as {\"found\": false}")
	case r.HTTP == 401 || r.HTTP == 403:
		add("the endpoint refuses the request",
			fmt.Sprintf("status %d: a header of authentication is missing or wrong", r.HTTP),
			"check the headers and the secrets that they name")
	case r.HTTP == 400 || r.HTTP == 422:
		add("fields are missing", fmt.Sprintf("status %d: the endpoint expects other fields", r.HTTP),
			"check that each identifier is exactly the name that the endpoint expects, and what is required")
	case r.HTTP == 404 || r.HTTP == 405 || r.HTTP == 410 || r.HTTP >= 300 && r.HTTP < 400:
		add(nothingArrives, fmt.Sprintf("status %d: the URL or the method is wrong", r.HTTP),
			"write the endpoint's final URL and its method: redirects are not followed")
	case r.HTTP >= 500:
		add("the endpoint fails", fmt.Sprintf("status %d: a fault of its own", r.HTTP), "look into the endpoint's log")
	}
	if strange := undeclared(t.Schema(), args); len(strange) > 0 {
		add("fields are missing", "these arguments are no parameters of the tool: "+strings.Join(strange, ", "),
			"write them under parameters with exactly the name that the endpoint expects")
	}
	if r.Status == OK && r.Took > slowReply && d.Speech.Bridging == "" {
		add("the caller hears nothing for a while", fmt.Sprintf("the endpoint took %v", r.Took.Round(10*time.Millisecond)),
			"write speech.bridging_sentence: what the agent says meanwhile")
	}
	return append(out, assigned(d, users)...)
}

// assigned looks at who uses the tool, and whether its prompt says when (C-02).
func assigned(d *Definition, users []User) (out []Hint) {
	if users == nil {
		return nil
	}
	if len(users) == 0 {
		return []Hint{{
			"the tool does not run", "it is not assigned to an agent", "name it in the agent's tool_ids: [" + d.Name + "]",
		}}
	}
	for _, u := range users {
		if !strings.Contains(strings.ToLower(u.Prompt), strings.ToLower(d.Name)) && !hasTrigger(d.Description) {
			out = append(out, Hint{
				"the tool runs at the wrong moment, or never",
				"neither the prompt of " + u.Agent + " nor the description says when to call it",
				"write rules such as \"only after e-mail and telephone are confirmed\" or \"only at the end of the call\"",
			})
		}
	}
	return out
}

// triggers are words that say when a tool is to be called (F-26, D-24).
var triggers = []string{
	"call this", "call it", "use when", "use only when", "use this", "use it", "use for", "only when", "only if",
	"only after", "when the", "when a", "when an", "when they", "whenever", "after the", "before the", "if the",
	"once the", "as soon as",
	"quand", "lorsque", "lorsqu", "dès que", "uniquement", "seulement", "après", "avant", "si le", "si la", "si l'",
	"wenn", "sobald", "nachdem", "bevor", "nur ", "falls",
}

func hasTrigger(description string) bool {
	low := strings.ToLower(description)
	return slices.ContainsFunc(triggers, func(t string) bool { return strings.Contains(low, t) })
}

// undeclared are arguments that a schema does not know.
func undeclared(schema, args json.RawMessage) (out []string) {
	known, err := members(declared(schema, args))
	if err != nil {
		return nil
	}
	all, err := members(args)
	if err != nil {
		return nil
	}
	for _, m := range all {
		if !slices.ContainsFunc(known, func(k member) bool { return k.Key == m.Key }) {
			out = append(out, m.Key)
		}
	}
	return out
}
