package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// Flow is a conversation in nodes: what the model is told and may do changes
// from one to the next, and the engine keeps track of where the call is. An
// agent with one prompt needs none.
type Flow struct {
	Nodes []Node `yaml:"nodes" json:"nodes,omitempty"`
}

// Node is one part of a conversation (D-19, D-20).
type Node struct {
	Key      string `yaml:"node_key" json:"node_key"`
	Initial  bool   `yaml:"is_initial" json:"is_initial,omitempty"`   // a call begins here
	Terminal bool   `yaml:"is_terminal" json:"is_terminal,omitempty"` // end_call is offered

	Prompt       string        `yaml:"prompt" json:"prompt,omitempty"`               // the task, in one text
	RoleMessages []llm.Message `yaml:"role_messages" json:"role_messages,omitempty"` // who the agent is from here on
	TaskMessages []llm.Message `yaml:"task_messages" json:"task_messages,omitempty"` // what is to be done here

	Functions    []Function   `yaml:"functions" json:"functions,omitempty"`     // ways out that the model chooses
	Transitions  []Transition `yaml:"transitions" json:"transitions,omitempty"` // ways out that results choose
	ToolIDs      []string     `yaml:"tool_ids" json:"tool_ids,omitempty"`       // id or name, offered in this node only (D-13)
	BuiltinTools []string     `yaml:"builtin_tools" json:"builtin_tools,omitempty"`
	PreActions   []Action     `yaml:"pre_actions" json:"pre_actions,omitempty"`   // before its first reply (D-17)
	PostActions  []Action     `yaml:"post_actions" json:"post_actions,omitempty"` // when it is left
	OnError      string       `yaml:"on_error" json:"on_error,omitempty"`         // where to go when a pre-action fails

	SlowInput      bool     `yaml:"slow_input" json:"slow_input,omitempty"`           // a number, a name or an address is asked for
	AllowInterrupt *bool    `yaml:"allow_interrupt" json:"allow_interrupt,omitempty"` // default true
	Position       int      `yaml:"position" json:"position,omitempty"`               // of editors
	PositionXY     *PlaceXY `yaml:"position_xy" json:"position_xy,omitempty"`         // of editors
}

// PlaceXY is where an editor shows a node.
type PlaceXY struct {
	X float64 `yaml:"x" json:"x"`
	Y float64 `yaml:"y" json:"y"`
}

// Function is a way from one node to another that the model takes by calling
// it. Its arguments are kept as {{collected.…}}.
type Function struct {
	Name        string       `yaml:"name" json:"name"`
	Description string       `yaml:"description" json:"description"`
	Properties  tools.Schema `yaml:"properties" json:"properties,omitempty"` // those of a JSON Schema
	Required    []string     `yaml:"required" json:"required,omitempty"`
	Next        string       `yaml:"next_node_key" json:"next_node_key"`
}

// Transition is a way that is taken when a condition over results and vars
// holds: results.lookup.found == false.
type Transition struct {
	When string `yaml:"when" json:"when"`
	Next string `yaml:"next_node_key" json:"next_node_key"`
}

// Action is a tool that runs by itself. It is told of the call, and of what the
// functions before were called with no more than it names (D-18).
type Action struct {
	Type      string   `yaml:"type" json:"type"`                     // tool_call
	Tool      string   `yaml:"tool_id" json:"tool_id"`               // id or name
	Collected []string `yaml:"collected" json:"collected,omitempty"` // of {{collected.…}}: arguments too, by the same names
}

// ToolCall is the only type of action.
const ToolCall = "tool_call"

// EndCallTool is the built-in tool of terminal nodes.
const EndCallTool = string(tools.EndCall)

// Node is the node of that key, nil when there is none.
func (f *Flow) Node(key string) *Node {
	for i := range f.Nodes {
		if f.Nodes[i].Key == key {
			return &f.Nodes[i]
		}
	}
	return nil
}

// Start is the node where a call begins, nil without a flow.
func (f *Flow) Start() *Node {
	for i := range f.Nodes {
		if f.Nodes[i].Initial {
			return &f.Nodes[i]
		}
	}
	return nil
}

// EndsHere says whether end_call is offered in the node (D-20).
func (n *Node) EndsHere() bool { return n.Terminal || slices.Contains(n.BuiltinTools, EndCallTool) }

// parameters is the JSON Schema of the function's arguments.
func (f *Function) parameters() tools.Schema {
	s := struct {
		Type       string          `json:"type"`
		Properties json.RawMessage `json:"properties"`
		Required   []string        `json:"required,omitempty"`
	}{"object", json.RawMessage(f.Properties), f.Required}
	if len(f.Properties) == 0 {
		s.Properties = json.RawMessage("{}")
	}
	b, err := json.Marshal(s)
	if err != nil { // properties that are no JSON: the tool is refused for them
		return f.Properties
	}
	return b
}

// arguments are the names of what the function is called with.
func (f *Function) arguments() []string {
	var properties map[string]json.RawMessage
	if json.Unmarshal(f.Properties, &properties) != nil {
		return nil // none, or what Tool refuses
	}
	return slices.Collect(maps.Keys(properties))
}

// Tool is the function as the model calls it.
func (f *Function) Tool() (tools.Tool, tools.Faults) {
	return tools.NewTransition(f.Name, f.Description, f.parameters())
}

// flowProblems lists what is wrong with the flow.
func (a *Agent) flowProblems() []Problem {
	f := &a.Flow
	if len(f.Nodes) == 0 {
		return nil
	}
	c := flowCheck{flow: f, keys: map[string]bool{}, collected: map[string]bool{}}
	for i := range f.Nodes {
		n, at := &f.Nodes[i], fmt.Sprintf("flow.nodes[%d]", i)
		for j := range n.Functions {
			for _, name := range n.Functions[j].arguments() {
				c.collected[name] = true
			}
		}
		switch {
		case n.Key == "":
			c.add(at+".node_key", "the node has no key", "write node_key: qualification")
		case c.keys[n.Key]:
			c.add(at+".node_key", fmt.Sprintf("a second node %q", n.Key), "rename one")
		}
		c.keys[n.Key] = true
		if n.Initial && c.start != "" {
			what := fmt.Sprintf("a second initial node (the first is %q)", c.start)
			c.add(at+".is_initial", what, "let a call begin in one node")
		} else if n.Initial {
			c.start = n.Key
		}
	}
	if c.start == "" {
		c.add("flow.nodes", "no node is initial", "write is_initial: true at the node where a call begins")
	}
	for i := range f.Nodes {
		c.node(&f.Nodes[i], fmt.Sprintf("flow.nodes[%d]", i))
	}
	c.reach()
	return c.out
}

// flowCheck is one check of a flow.
type flowCheck struct {
	flow      *Flow
	keys      map[string]bool
	collected map[string]bool // what functions are called with
	start     string
	out       []Problem
}

func (c *flowCheck) add(path, what, do string) { c.out = append(c.out, Problem{path, what, do}) }

// leads checks that a way leads to a node.
func (c *flowCheck) leads(path, to string) {
	switch {
	case to == "":
		c.add(path, "it leads nowhere", "name one of: "+c.known())
	case !c.keys[to]:
		c.add(path, fmt.Sprintf("no node %q", to), "name one of: "+c.known())
	}
}

func (c *flowCheck) known() string {
	var keys []string
	for _, n := range c.flow.Nodes {
		keys = append(keys, n.Key)
	}
	return strings.Join(keys, ", ")
}

func (c *flowCheck) node(n *Node, at string) {
	seen := map[string]bool{}
	for _, id := range n.ToolIDs {
		seen[id] = true
	}
	for i := range n.Functions {
		f, at := &n.Functions[i], fmt.Sprintf("%s.functions[%d]", at, i)
		if seen[f.Name] {
			c.add(at+".name", fmt.Sprintf("a second function or tool %q in this node", f.Name), "rename one")
		}
		seen[f.Name] = true
		_, faults := f.Tool()
		for _, fault := range faults {
			c.add(at+"."+fault.Path, fault.What, fault.Do)
		}
		c.leads(at+".next_node_key", f.Next)
	}
	for i, t := range n.Transitions {
		at := fmt.Sprintf("%s.transitions[%d]", at, i)
		if err := tools.CheckCondition(t.When); err != nil {
			c.add(at+".when", err.Error(), "write an expression such as results.lookup_contact.found == false")
		}
		c.leads(at+".next_node_key", t.Next)
		if t.Next == n.Key {
			c.add(at+".next_node_key", "it leads back to its own node", "name another")
		}
	}
	if n.OnError != "" {
		c.leads(at+".on_error", n.OnError)
		if n.OnError == n.Key {
			c.add(at+".on_error", "a node whose actions fail would be entered again", "name another")
		}
	}
	for i, b := range n.BuiltinTools {
		if b != EndCallTool {
			c.add(fmt.Sprintf("%s.builtin_tools[%d]", at, i), fmt.Sprintf("no built-in tool %q", b), "write "+EndCallTool)
		}
	}
	c.actions(n.PreActions, at+".pre_actions")
	c.actions(n.PostActions, at+".post_actions")
	c.messages(n.RoleMessages, at+".role_messages")
	c.messages(n.TaskMessages, at+".task_messages")
}

func (c *flowCheck) actions(as []Action, at string) {
	for i, a := range as {
		if a.Type != "" && a.Type != ToolCall {
			c.add(fmt.Sprintf("%s[%d].type", at, i), fmt.Sprintf("no action %q", a.Type), "write "+ToolCall)
		}
		if a.Tool == "" {
			c.add(fmt.Sprintf("%s[%d].tool_id", at, i), "the action names no tool", "write the tool's id or name")
		}
		for j, name := range a.Collected {
			at := fmt.Sprintf("%s[%d].collected[%d]", at, i, j)
			switch {
			case tools.IsMetadata(name):
				c.add(at, fmt.Sprintf("%q is the call's own", name), "give the function's argument another name")
			case !c.collected[name]:
				c.add(at, fmt.Sprintf("no function of the flow collects %q", name), yamlfault.Suggest(name, c.collects()))
			}
		}
	}
}

// collects are the arguments of all functions.
func (c *flowCheck) collects() []string { return slices.Sorted(maps.Keys(c.collected)) }

func (c *flowCheck) messages(ms []llm.Message, at string) {
	for i, m := range ms {
		switch m.Role {
		case llm.System, llm.User, llm.Assistant:
		default:
			c.add(fmt.Sprintf("%s[%d].role", at, i), fmt.Sprintf("%q is no role", m.Role), "write system, user or assistant")
		}
	}
}

// reach finds the nodes that no way leads to.
func (c *flowCheck) reach() {
	if c.start == "" {
		return
	}
	reached := map[string]bool{c.start: true}
	for todo := []string{c.start}; len(todo) > 0; todo = todo[1:] {
		n := c.flow.Node(todo[0])
		if n == nil {
			continue
		}
		for _, to := range n.ways() {
			if !reached[to] {
				reached[to] = true
				todo = append(todo, to)
			}
		}
	}
	for i, n := range c.flow.Nodes {
		if n.Key != "" && !reached[n.Key] {
			c.add(fmt.Sprintf("flow.nodes[%d]", i), fmt.Sprintf("no way leads to the node %q", n.Key),
				"name it in a function, a transition or an on_error")
		}
	}
}

// ways are the keys of the nodes that a node leads to.
func (n *Node) ways() (out []string) {
	for _, f := range n.Functions {
		out = append(out, f.Next)
	}
	for _, t := range n.Transitions {
		out = append(out, t.Next)
	}
	return append(out, n.OnError)
}
