// Package configs is the configuration file: its keys, their defaults and the
// checks of what is written there. The annotated file patchcord.yaml is at
// once the documentation of every key, the default and the first test input.
//
// An unknown key, a value of the wrong kind or a name that leads nowhere is an
// error with file, line, column and what to write instead, and all of them are
// told at once. Nothing here opens a socket or looks at the network.
package configs

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// Config is the whole of a configuration file.
type Config struct {
	HTTP         HTTP              `yaml:"http"`
	SIP          SIP               `yaml:"sip"`
	RTP          RTP               `yaml:"rtp"`
	WebRTC       WebRTC            `yaml:"webrtc"`
	Store        Store             `yaml:"store"`
	Cluster      Cluster           `yaml:"cluster"`
	Recording    Recording         `yaml:"recording"`
	Log          Log               `yaml:"log"`
	Secrets      map[string]Secret `yaml:"secrets"`
	LLM          Providers         `yaml:"llm"`
	STT          Providers         `yaml:"stt"`
	TTS          Providers         `yaml:"tts"`
	Realtime     Providers         `yaml:"realtime"`
	Trunks       []trunk.Config    `yaml:"trunks"`
	Numbers      []trunk.Number    `yaml:"numbers"`
	AgentFiles   string            `yaml:"agents"` // a glob, relative to the file
	DefaultAgent agent.ID          `yaml:"default_agent"`
	Tools        Tools             `yaml:"tools"`
	API          API               `yaml:"api"`
	Knowledge    Knowledge         `yaml:"knowledge"`
	Dialing      Dialing           `yaml:"dialing"`
	Dialer       Dialer            `yaml:"dialer"`
	Limits       Limits            `yaml:"limits"`

	File    string             `yaml:"-"` // where it was read, "" for the built-in default
	Dir     string             `yaml:"-"` // what relative paths in it are relative to
	Agents  []agent.Agent      `yaml:"-"` // of AgentFiles, in the order of the files' names
	Library []tools.Definition `yaml:"-"` // of Tools.Files

	Profiles dialer.Profiles `yaml:"-"` // the built-in ones and those of Dialer.Profiles

	// The files of Agents and Library, each beside its own: "agents/support.yaml".
	AgentPaths, LibraryPaths []string `yaml:"-"`
}

// HTTP is the API, the console and the browser phone.
type HTTP struct {
	Listen    string `yaml:"listen"`
	PublicURL string `yaml:"public_url"`
}

// SIP is the telephone side.
type SIP struct {
	Listen        []string `yaml:"listen"` // udp://host:port, tcp://…, tls://…
	PublicIP      string   `yaml:"public_ip"`
	TLS           TLS      `yaml:"tls"`
	UnknownSource string   `yaml:"unknown_source"` // drop, refuse
	Dialogs       string   `yaml:"dialogs"`        // a file, "" for one beside the store, off
}

// TLS names a certificate and its key, both PEM files.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// RTP is where media flows.
type RTP struct {
	Ports string `yaml:"ports"` // "20000-29998"
}

// WebRTC is the browser's side.
type WebRTC struct {
	Listen   string   `yaml:"listen"`
	PublicIP string   `yaml:"public_ip"`
	Origins  []string `yaml:"origins"` // of pages elsewhere that may call
}

// Store is where calls are kept.
type Store struct {
	URL string      `yaml:"url"` // sqlite:PATH or postgres://…
	Key secret.Text `yaml:"key"` // seals secrets that are kept: 64 hex digits
	// Spool is the file in which calls wait that the database does not take: ""
	// is one beside an SQLite file or named after the node, "off" is none.
	Spool string `yaml:"spool"`
}

// Cluster joins several nodes.
type Cluster struct {
	Node        string      `yaml:"node"`   // name of this node, "" for the host's
	Name        string      `yaml:"name"`   // of the cluster
	Listen      string      `yaml:"listen"` // host:port for the other nodes
	Routes      []string    `yaml:"routes"` // nats://host:port of other nodes
	NATS        string      `yaml:"nats"`   // or an existing one: tls://host:port, several with commas
	User        string      `yaml:"user"`
	Password    secret.Text `yaml:"password"`
	Token       secret.Text `yaml:"token"`       // of an existing NATS
	Credentials string      `yaml:"credentials"` // the same, a file
	TLS         ClusterTLS  `yaml:"tls"`
}

// ClusterTLS are PEM files. Nodes show each other their certificates.
type ClusterTLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"` // of the authority that signed those of the others
}

// Recording is where calls are recorded.
type Recording struct {
	Dir     string `yaml:"dir"`   // a folder, or the URL of a bucket
	Spool   string `yaml:"spool"` // the folder where recordings are made that go to a bucket
	Enabled bool   `yaml:"enabled"`
}

// Log is what is written about the calls.
type Log struct {
	Level   string `yaml:"level"`   // debug, info, warn, error
	Events  string `yaml:"events"`  // "-" stdout, a file, "off"
	Journal string `yaml:"journal"` // a folder, "" for none
}

// Providers are the named configurations of one kind of provider.
type Providers struct {
	Default string
	Named   map[string]Provider

	defaultAt Pos
}

// Provider is one of them. Each provider decodes Node itself, strictly; type,
// fallback and a model's hedge are not in it any more.
type Provider struct {
	Name     string
	Type     string   // "openai": which provider
	Fallback []string // names of those to ask when this one fails
	Hedge    bool     // of a model: ask the fallback as well when this one is slower than it mostly is
	Node     ast.Node
	Pos      Pos
}

// Tools holds the library of tools and what they may reach.
type Tools struct {
	Files              string   `yaml:"files"` // a glob, relative to the file
	AllowInsecureHosts []string `yaml:"allow_insecure_hosts"`
	AllowCIDRs         []string `yaml:"allow_cidrs"`
	CAFile             string   `yaml:"ca_file"` // PEM, relative to the file
	// Where tools of Flireo's form go whose agent has no webhook either, and what
	// signs their requests.
	WebhookURL    string `yaml:"webhook_url"`
	WebhookSecret string `yaml:"webhook_secret"`
}

// API holds who may use it.
type API struct {
	Keys   []APIKey   `yaml:"keys"`
	Limits RateLimits `yaml:"limits"` // of keys that set none
}

// RateLimits are how many requests a key may make; 0 is the default, -1 no
// limit.
type RateLimits struct {
	PerMinute        int `yaml:"per_minute"`         // default 60
	PerHour          int `yaml:"per_hour"`           // default 1000
	ControlPerMinute int `yaml:"control_per_minute"` // commands to one live call, default 10
}

// APIKey is one user of the API. Key is the key itself; SHA256 its hash in
// hex, for those who keep no key in a file.
type APIKey struct {
	Name            string      `yaml:"name"`
	Key             secret.Text `yaml:"key"`
	SHA256          string      `yaml:"sha256"`
	Scopes          []string    `yaml:"scopes"`
	AllowedAgentIDs []agent.ID  `yaml:"allowed_agent_ids"` // empty: all
	Limits          RateLimits  `yaml:"limits"`
}

// Knowledge is how documents are searched.
type Knowledge struct {
	Embeddings knowledge.EmbeddingsConfig `yaml:"embeddings"` // no model: by words only
}

// Dialing is the one gate of everything that dials: prefixes of E.164.
type Dialing struct {
	Allow   []string `yaml:"allow"` // empty: nothing may be dialled
	Deny    []string `yaml:"deny"`
	PerCall int      `yaml:"per_call"`
	PerDay  int      `yaml:"per_day"` // 0: no limit
}

// Limits bound the whole process.
type Limits struct {
	MaxCalls        int           `yaml:"max_calls"` // 0: measured at start
	Reserved        int           `yaml:"reserved"`  // of them, for calls that are placed and those of Priority
	Priority        []string      `yaml:"priority"`  // trunks
	MaxCallDuration time.Duration `yaml:"max_call_duration"`
}

// withDefaults is what holds where a file is silent. Trunks and numbers have
// no default: who is not named may not call.
func withDefaults() *Config {
	return &Config{
		HTTP:       HTTP{Listen: "127.0.0.1:8080"},
		SIP:        SIP{Listen: []string{"udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"}, UnknownSource: "drop"},
		RTP:        RTP{Ports: "20000-29998"},
		Store:      Store{URL: "sqlite:patchcord.db"},
		Cluster:    Cluster{Name: "patchcord"},
		Recording:  Recording{Dir: "recordings", Spool: "recordings", Enabled: true},
		Log:        Log{Level: "info", Events: "-"},
		AgentFiles: "agents/*.yaml",
		Tools:      Tools{Files: "tools/*.yaml"},
		Dialing:    Dialing{Deny: []string{"+881", "+882", "+883", "+870"}, PerCall: 1},
		Dialer:     Dialer{Enabled: true},
		Limits:     Limits{MaxCallDuration: 15 * time.Minute},
	}
}
