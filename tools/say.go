package tools

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/expr-lang/expr"
)

// Sentence resolves the placeholders of something that is spoken from the
// call's variables. What is not known is left out; secrets are never looked
// for.
func Sentence(text string, e Env) string { return sentence(text, e, nil) }

func sentence(text string, e Env, result map[string]any) string {
	t, err := parseTemplate(text)
	if err != nil {
		return text
	}
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		if n, ok := strings.CutPrefix(p.name, "result."); ok {
			v, _ := dig(result, n)
			b.WriteString(textOf(v))
			continue
		}
		v, _ := e.lookup(p.name)
		b.WriteString(textOf(v))
	}
	return noGap.Replace(strings.Join(strings.Fields(b.String()), " "))
}

// noGap closes the gap that a value that is not known leaves.
var noGap = strings.NewReplacer(" .", ".", " ,", ",")

// Pick is the sentence to say word for word after a tool succeeded: the first
// whose condition holds, with {{result.…}} and variables put in; "" when none
// does, or when the result is no success (C-16).
func (s SuccessSpeech) Pick(r Result, e Env) string {
	if r.Status != OK || len(s) == 0 {
		return ""
	}
	var result map[string]any
	if json.Unmarshal(r.JSON, &result) != nil {
		return ""
	}
	for _, one := range s {
		if one.When == "" && r.HasError() {
			continue // "any" means any success
		}
		if one.When == "" || holds(one.When, map[string]any{"result": result, "vars": e.vars()}) {
			return sentence(one.Say, e, result)
		}
	}
	return ""
}

// vars are all variables of the call, as conditions see them.
func (e Env) vars() map[string]any {
	out := map[string]any{
		"call_id": e.CallID, "agent_id": e.AgentID, "direction": e.Direction,
		"phone_number": e.Phone, "caller_phone": e.Phone,
	}
	maps.Copy(out, e.Context)
	maps.Copy(out, e.Vars)
	return out
}

// Holds says whether a condition over the results of tools, by their names, and
// the variables of the call holds. One that cannot be evaluated does not.
func Holds(cond string, results map[string]any, e Env) bool {
	return holds(cond, map[string]any{"results": results, "vars": e.vars()})
}

// CheckCondition says whether an expression can be such a condition.
func CheckCondition(cond string) error { return checkCondition(cond, "results", "vars") }

// holds evaluates a condition; one that cannot be evaluated does not hold.
func holds(cond string, env map[string]any) bool {
	p, err := expr.Compile(cond, expr.Env(env), expr.AllowUndefinedVariables(), expr.AsBool())
	if err != nil {
		return false
	}
	v, err := expr.Run(p, env)
	if err != nil {
		return false
	}
	b, _ := v.(bool)
	return b
}

// checkCondition says whether an expression can be a condition over the names.
func checkCondition(cond string, over ...string) error {
	env := map[string]any{}
	for _, n := range over {
		env[n] = map[string]any{}
	}
	if _, err := expr.Compile(cond, expr.Env(env), expr.AsBool()); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%s", first)
	}
	return nil
}
