package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// Objects are what calls are made with: *store.Store.
type Objects interface {
	CreateAgent(ctx context.Context, by string, a agent.Agent) (store.Agent, error)
	Agent(ctx context.Context, id agent.ID) (store.Agent, error)
	Agents(ctx context.Context, f store.AgentFilter) ([]store.Agent, string, error)
	UpdateAgent(ctx context.Context, by string, a store.Agent) (store.Agent, error)
	DeleteAgent(ctx context.Context, by string, id agent.ID) error
	RestoreAgent(ctx context.Context, by string, id agent.ID, revision int64) (store.Agent, error)

	CreateTool(ctx context.Context, by string, t store.Tool) (store.Tool, error)
	PutTools(ctx context.Context, by string, ts []store.Tool) ([]store.Tool, error)
	Tool(ctx context.Context, id string) (store.Tool, error)
	Tools(ctx context.Context, owner agent.ID, p store.Page) ([]store.Tool, string, error)
	UpdateTool(ctx context.Context, by string, t store.Tool) (store.Tool, error)
	DeleteTool(ctx context.Context, by, id string) error
	RestoreTool(ctx context.Context, by, id string, revision int64) (store.Tool, error)

	Versions(ctx context.Context, k store.Kind, id string, before int64) ([]store.Version, error)
	Version(ctx context.Context, k store.Kind, id string, revision int64) (store.Version, error)

	CreateTrunk(ctx context.Context, by string, c trunk.Config) (store.Trunk, error)
	Trunk(ctx context.Context, id string) (store.Trunk, error)
	Trunks(ctx context.Context, p store.Page) ([]store.Trunk, string, error)
	UpdateTrunk(ctx context.Context, by string, t store.Trunk) (store.Trunk, error)
	DeleteTrunk(ctx context.Context, by, id string) error

	CreateNumber(ctx context.Context, by string, n trunk.Number) (store.Number, error)
	Number(ctx context.Context, id string) (store.Number, error)
	Numbers(ctx context.Context, f store.NumberFilter) ([]store.Number, string, error)
	UpdateNumber(ctx context.Context, by string, n store.Number) (store.Number, error)
	DeleteNumber(ctx context.Context, by, id string) error
}

var _ Objects = (*store.Store)(nil)

// Reader reads what is sent, with all the checks that files have:
// *configs.Reader.
type Reader interface {
	ReadAgent(text []byte, library []tools.Definition, was *agent.Agent) (agent.Agent, tools.Faults)
	ReadTool(text []byte, of *agent.Agent) (tools.Definition, tools.Faults)
	ReadTrunk(text []byte, was *trunk.Config) (trunk.Config, tools.Faults)
}

// object is an answer with one object.
type object[T any] struct {
	ETag     string `header:"ETag" doc:"The object's revision; a change may name it in If-Match"`
	Location string `header:"Location"`
	Body     T
}

// etag is a revision as HTTP has it.
func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// revision is the one that If-Match names, 0 for any.
func revision(match string) (int64, error) {
	if match == "" || match == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, fail(http.StatusPreconditionFailed, "stale", "header.If-Match", "If-Match is no revision that was given.")
	}
	return n, nil
}

// PageQuery chooses a part of a list.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
	Cursor string `query:"cursor" maxLength:"255" doc:"next_cursor of the page before"`
}

func (in PageQuery) page() store.Page { return store.Page{Cursor: in.Cursor, Limit: in.Limit} }

// everything is a list without pages.
var everything = store.Page{Limit: store.All}

// kept says what the store says, nil for nothing.
func kept(err error, what string) error {
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return notFound(what)
	case errors.Is(err, store.ErrExists):
		return fail(http.StatusConflict, "conflict", "body.name", "There is a "+what+" of this name already.")
	case errors.Is(err, store.ErrStale):
		return fail(http.StatusPreconditionFailed, "stale", "header.If-Match",
			"The "+what+" has been changed since; read it again.")
	case errors.Is(err, store.ErrInUse):
		return fail(http.StatusConflict, "in_use", "", "The "+what+" is in use: "+reason(err)+".")
	case errors.Is(err, store.ErrLastKey):
		return fail(http.StatusConflict, "last_key", "", "No other key opens everything for good, and none is configured: "+
			`first make one with the scopes ["*"], for all agents and without an end, or write one under api.keys.`)
	case errors.Is(err, store.ErrCursor):
		return fail(http.StatusUnprocessableEntity, "", "query.cursor", "The cursor is not one that a list gave.")
	case errors.Is(err, store.ErrMissing):
		return fail(http.StatusUnprocessableEntity, "", "body", "Something that the "+what+" names does not exist.")
	case errors.Is(err, store.ErrInvalid):
		return &Problem{Status: http.StatusUnprocessableEntity, Faults: trunkFaults(err)}
	}
	return internal(err)
}

// reason is what of an error of the store says why something is in use.
func reason(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+store.ErrInUse.Error())
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

func trunkFaults(err error) []Fault {
	var out []Fault
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // each level by itself
		case *trunk.Fault:
			out = append(out, Fault{Param: "body." + e.Path, Message: say(e.What, e.Do)})
		case interface{ Unwrap() []error }:
			for _, e := range e.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	if out == nil {
		out = []Fault{{Param: "body", Message: "it cannot be kept like this"}}
	}
	return out
}

func say(what, do string) string {
	if do != "" {
		return what + "; " + do
	}
	return what
}

// split tells what is wrong with what was sent, and what is only advice.
// within cuts the path of something larger.
func split(faults tools.Faults, sent []byte, within string) ([]Fault, error) {
	var p *Problem
	var advice []Fault
	quiet := values(sent)
	for _, f := range faults {
		path := f.Path
		if within != "" {
			path = strings.TrimPrefix(strings.TrimPrefix(path, within), ".")
		}
		t := Fault{Param: strings.TrimSuffix("body."+path, "."), Message: say(quiet.Replace(f.What), f.Do)}
		switch {
		case f.Warning:
			advice = append(advice, t)
		case p == nil:
			p = &Problem{Status: http.StatusUnprocessableEntity}
			fallthrough
		default:
			p.Faults = append(p.Faults, t)
		}
	}
	if p == nil {
		return advice, nil
	}
	return advice, p
}

// longValue is how long a value is that is hidden where it stands without
// quotes too, in characters.
const longValue = 8

// values hides all texts of a JSON value: what was sent may be a secret, and
// is not said again.
func values(sent []byte) *strings.Replacer {
	var texts []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case []any:
			for _, v := range v {
				walk(v)
			}
		case map[string]any:
			for _, v := range v {
				walk(v)
			}
		}
	}
	var v any
	if json.Unmarshal(sent, &v) != nil {
		return strings.NewReplacer()
	}
	walk(v)
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, t := range slices.Compact(texts) {
		if t == "" {
			continue
		}
		pairs = append(pairs, strconv.Quote(t), "this")
		if len(t) >= longValue {
			pairs = append(pairs, t, "…")
		}
	}
	return strings.NewReplacer(pairs...)
}

// fields are the members of an object that was sent.
func fields(sent []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(sent, &m); err != nil || m == nil {
		return nil, fail(http.StatusBadRequest, "", "body", "The body is not one JSON object.")
	}
	return m, nil
}

// onto puts what was sent in the place of what was there; null takes it away.
// Each member is replaced as a whole.
func onto(was any, sent []byte, readOnly []string) ([]byte, error) {
	have, err := json.Marshal(was)
	if err != nil {
		return nil, internal(err)
	}
	all, err := fields(have)
	if err != nil {
		return nil, internal(err)
	}
	change, err := fields(sent)
	if err != nil {
		return nil, err
	}
	for k, v := range change {
		all[k] = v
		if bytes.Equal(bytes.TrimSpace(v), []byte("null")) {
			delete(all, k)
		}
	}
	for _, k := range readOnly {
		delete(all, k)
	}
	return marshal(all)
}

// without is what was sent without the members that answers have and bodies
// may repeat.
func without(sent []byte, readOnly []string) ([]byte, error) {
	all, err := fields(sent)
	if err != nil {
		return nil, err
	}
	for _, k := range readOnly {
		delete(all, k)
	}
	return marshal(all)
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, internal(err)
	}
	return b, nil
}

// whole refuses a key that is limited to some agents: what belongs to all is
// not its own.
func whole(ctx context.Context) error {
	if len(caller(ctx).Agents) > 0 {
		return fail(http.StatusForbidden, "forbidden", "", "This key is limited to its agents.")
	}
	return nil
}

// mostTries is how often a change is made anew on what another process wrote
// meanwhile.
const mostTries = 5

// again makes a change until nobody else was faster; a revision that was
// asked for is not left for another. Changes of this process come one after
// the other.
func again[T any](one *sync.Mutex, want int64, try func() (T, error)) (T, error) {
	one.Lock()
	defer one.Unlock()
	for n := 1; ; n++ {
		v, err := try()
		if want != 0 || n == mostTries || !errors.Is(err, store.ErrStale) {
			return v, err
		}
	}
}
