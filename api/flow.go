package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// AgentFlow is a conversation in parts, as the API shows it (D-20).
type AgentFlow struct {
	Nodes    []FlowNode `json:"nodes"`
	Warnings []Fault    `json:"warnings,omitempty" doc:"Advice: it works, but perhaps not as meant"`
}

// FlowNode is one part with all its members, those that are not set too.
type FlowNode struct {
	agent.Node
	Initial        bool     `json:"is_initial"`
	Terminal       bool     `json:"is_terminal"`
	AllowInterrupt bool     `json:"allow_interrupt"`
	BuiltinTools   []string `json:"builtin_tools" doc:"A terminal node has end_call"`
}

// flow are the paths of an agent's flow, ours and Dariet's.
func (s *Server) flow() {
	for _, p := range []struct{ id, tag, path string }{
		{"", "agents", "/v1/agents/{id}/flow"}, {"dariet-", "dariet", "/api/agents/{id}/flow"},
	} {
		huma.Register(s.api, huma.Operation{
			OperationID: p.id + "get-flow", Method: http.MethodGet, Path: p.path, Summary: "The flow of an agent",
			Tags: []string{p.tag}, Security: scope("agents:read"),
		}, func(ctx context.Context, in *AgentPath) (*object[AgentFlow], error) {
			a, err := s.agent(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return flowAnswer(a, nil), nil
		})
		huma.Register(s.api, huma.Operation{
			OperationID: p.id + "put-flow", Method: http.MethodPut, Path: p.path,
			Summary: "Replace all nodes of an agent's flow; no nodes take it away", Tags: []string{p.tag},
			Security: scope("agents:write"), MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.bodyOf(agent.Flow{}),
		}, s.putFlow)
	}
}

func flowAnswer(a store.Agent, advice []Fault) *object[AgentFlow] {
	v := AgentFlow{Nodes: []FlowNode{}, Warnings: advice}
	for _, n := range a.Flow.Nodes {
		node := FlowNode{
			Node: n, Initial: n.Initial, Terminal: n.Terminal, AllowInterrupt: n.AllowInterrupt == nil || *n.AllowInterrupt,
			BuiltinTools: append([]string{}, n.BuiltinTools...),
		}
		if n.Terminal && !slices.Contains(node.BuiltinTools, agent.EndCallTool) {
			node.BuiltinTools = append(node.BuiltinTools, agent.EndCallTool)
		}
		v.Nodes = append(v.Nodes, node)
	}
	return &object[AgentFlow]{ETag: etag(a.Revision), Body: v}
}

// putFlow replaces all nodes. A flow that a call could get lost in is refused.
func (s *Server) putFlow(ctx context.Context, in *agentChange) (*object[AgentFlow], error) {
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	sent, err := without(in.RawBody, []string{"warnings"})
	if err != nil {
		return nil, err
	}
	members, err := fields(sent)
	if err != nil {
		return nil, err
	}
	if err := missing(nil, members, []string{"nodes"}); err != nil {
		return nil, err
	}
	var advice []Fault
	made, err := again(&s.writes, want, func() (made store.Agent, err error) {
		was, err := s.agent(ctx, in.ID)
		if err != nil {
			return made, err
		}
		change, err := marshal(map[string]any{"flow": members})
		if err != nil {
			return made, err
		}
		text, err := onto(agentView(was), change, ofAgent)
		if err != nil {
			return made, err
		}
		a, more, err := s.readAgent(ctx, text, sent, &was.Agent, "flow")
		if err != nil {
			return made, err
		}
		advice = more
		now := was
		now.Flow = a.Flow
		if want != 0 {
			now.Revision = want
		}
		return s.cfg.Objects.UpdateAgent(ctx, caller(ctx).Name, now)
	})
	if err := kept(err, "agent"); err != nil {
		return nil, err
	}
	return flowAnswer(made, advice), nil
}

// pathIn tells whether a path is that of a part, or lies in it.
func pathIn(path, part string) bool {
	rest, ok := strings.CutPrefix(path, part)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
