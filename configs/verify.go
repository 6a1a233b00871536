package configs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/audio/record/archive"
	sttall "github.com/patchcord/patchcord/audio/stt/all"
	ttsall "github.com/patchcord/patchcord/audio/tts/all"
	"github.com/patchcord/patchcord/internal/certificate"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/yamlfault"
	llmall "github.com/patchcord/patchcord/llm/all"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// Scopes are what a key of the API may be for.
var Scopes = func() []string {
	out := []string{"*", "calls:control"}
	for _, s := range []string{"agents", "tools", "numbers", "trunks", "calls", "campaigns", "knowledge", "webhooks"} {
		out = append(out, s+":read", s+":write")
	}
	for _, s := range []string{"kb", "forwarding", "employees", "organization"} { // names of another platform (T-23)
		out = append(out, s+":read", s+":write")
	}
	return out
}()

// check looks at what the values mean, once they have the right kinds.
func (l *loader) check(c *Config) {
	l.checkListeners(c)
	l.checkPorts(c.RTP.Ports)
	l.checkStore(c.Store)
	l.checkCluster(c)
	l.checkKnowledge(c.Knowledge)
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("sip.unknown_source", c.SIP.UnknownSource, "drop", "refuse")
	l.checkProviders("llm", c.LLM)
	l.checkProviders("stt", c.STT)
	l.checkProviders("tts", c.TTS)
	l.checkProviders("realtime", c.Realtime)
	l.checkModels(c)
	checkKeys(l, "stt", c.STT, sttall.Types())
	checkKeys(l, "tts", c.TTS, ttsall.Types())
	checkKeys(l, "realtime", c.Realtime, llmall.RealtimeTypes())
	l.checkTrunks(c)
	l.checkAgents(c)
	l.checkKeys(c)
	l.checkDialing(c.Dialing)
	l.loadProfiles(c)
	for i, s := range c.Tools.AllowCIDRs {
		l.prefix(fmt.Sprintf("tools.allow_cidrs[%d]", i), s)
	}
	if _, err := c.ToolClient(); err != nil && c.Tools.CAFile != "" && !l.embedded {
		l.fault("tools.ca_file", strings.TrimPrefix(err.Error(), "tools: ca_file: "), "name a PEM file of certificates")
	}
	l.checkCallLimits(c.Limits)
	if archive.Is(c.Recording.Dir) {
		if err := archive.Check(c.Recording.Dir); err != nil {
			l.fault("recording.dir", err.Error(), "write a folder, or such as s3://bucket?region=eu-central-1")
		}
		if c.Recording.Spool == "" {
			l.fault("recording.spool", "empty", "name the folder where recordings wait for the bucket")
		}
	}
}

func (l *loader) checkCallLimits(lim Limits) {
	if lim.MaxCalls < 0 {
		l.fault("limits.max_calls", "a negative number", "use 0 to have it measured at start, or more")
	}
	if lim.Reserved < 0 || lim.MaxCalls > 0 && lim.Reserved > lim.MaxCalls {
		l.fault("limits.reserved", fmt.Sprintf("%d of %d calls", lim.Reserved, lim.MaxCalls),
			"use 0 for none, and no more than limits.max_calls")
	}
}

func (l *loader) checkListeners(c *Config) {
	if _, _, err := hostPort(c.HTTP.Listen); err != nil {
		l.fault("http.listen", fmt.Sprintf("%q: %v", c.HTTP.Listen, err), "write host:port, such as 127.0.0.1:8080")
	}
	if u := c.HTTP.PublicURL; u != "" {
		if p, err := url.Parse(u); err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			l.fault("http.public_url", fmt.Sprintf("%q is no URL", u), "write one such as https://voice.example.com")
		}
	}
	for i, s := range c.SIP.Listen {
		l.listen(fmt.Sprintf("sip.listen[%d]", i), s, "udp", "tcp", "tls")
		if strings.HasPrefix(s, "tls:") && (c.SIP.TLS.Cert == "" || c.SIP.TLS.Key == "") {
			l.fault(fmt.Sprintf("sip.listen[%d]", i), "tls without a certificate", "set sip.tls.cert and sip.tls.key")
		}
	}
	if c.WebRTC.Listen != "" {
		l.listen("webrtc.listen", c.WebRTC.Listen, "udp")
	}
	for i, o := range c.WebRTC.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Host == "" || o != u.Scheme+"://"+u.Host) {
			l.fault(fmt.Sprintf("webrtc.origins[%d]", i), fmt.Sprintf("%q is no origin", o),
				"write scheme and host, such as https://shop.example.com, or *")
		}
	}
	for path, ip := range map[string]string{"sip.public_ip": c.SIP.PublicIP, "webrtc.public_ip": c.WebRTC.PublicIP} {
		if _, err := netip.ParseAddr(ip); ip != "" && err != nil {
			l.fault(path, fmt.Sprintf("%q is no IP address", ip), "write one such as 203.0.113.10, or leave it empty")
		}
	}
	if cert, key := c.SIP.TLS.Cert, c.SIP.TLS.Key; cert != "" && key != "" {
		if _, err := certificate.Load(c.Path(cert), c.Path(key)); err != nil {
			what := strings.TrimPrefix(err.Error(), "certificate: ")
			l.fault("sip.tls.cert", what, "name PEM files of a certificate and its key")
		}
	}
}

func (l *loader) listen(path, s string, schemes ...string) {
	scheme, addr, ok := strings.Cut(s, "://")
	do := "write one such as " + schemes[0] + "://0.0.0.0:5060"
	if !ok || !slices.Contains(schemes, scheme) {
		l.fault(path, fmt.Sprintf("%q has no transport of %s", s, strings.Join(schemes, ", ")), do)
		return
	}
	if host, _, err := hostPort(addr); err != nil {
		l.fault(path, fmt.Sprintf("%q: %v", s, err), do)
	} else if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		l.fault(path, fmt.Sprintf("%q: %q is no IP address", s, host), do)
	}
}

func hostPort(s string) (string, int, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("no host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port", port)
	}
	return host, int(n), nil
}

// Range is the first and the last port for media, both even.
func (r RTP) Range() (first, last int, err error) {
	lo, hi, ok := strings.Cut(r.Ports, "-")
	a, errA := strconv.Atoi(strings.TrimSpace(lo))
	b, errB := strconv.Atoi(strings.TrimSpace(hi))
	switch {
	case !ok || errA != nil || errB != nil:
		return 0, 0, fmt.Errorf("%q is no range of ports", r.Ports)
	case a < 1024 || b > 65534 || a >= b:
		return 0, 0, fmt.Errorf("%q must rise and lie within 1024-65534", r.Ports)
	}
	return a + a%2, b - b%2, nil
}

func (l *loader) checkPorts(s string) {
	if _, _, err := (RTP{Ports: s}).Range(); err != nil {
		l.fault("rtp.ports", err.Error(), "write one such as 20000-29998; a call takes two ports")
	}
}

func (l *loader) checkStore(c Store) {
	if raw, err := hex.DecodeString(c.Key.Reveal()); err != nil || len(raw) != 32 && c.Key != "" {
		l.fault("store.key", "no key of 64 hex digits", "make one with: openssl rand -hex 32")
	}
	s := c.URL
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" || scheme != "sqlite" && scheme != "postgres" && scheme != "postgresql" {
		l.fault("store.url", fmt.Sprintf("%q names no store", redactURL(s)),
			"write sqlite:FILE or postgres://user@host/database")
	}
}

func (l *loader) checkKnowledge(k Knowledge) {
	if _, err := knowledge.NewEmbedder(k.Embeddings); err != nil {
		l.fault("knowledge.embeddings", strings.TrimPrefix(err.Error(), "knowledge: embeddings: "),
			"write model, and base_url and api_key of a server of OpenAI's form")
	}
}

// redactURL is a URL without its password.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return secret.Text(s).String()
	}
	return u.Redacted()
}

func (l *loader) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	do := "use one of " + strings.Join(allowed, ", ")
	if k := yamlfault.Nearest(value, allowed); k != "" {
		do = fmt.Sprintf("did you mean %q?", k)
	}
	l.fault(path, fmt.Sprintf("%q is not one of its values", value), do)
}

func (l *loader) checkProviders(kind string, p Providers) {
	if p.Default != "" {
		if _, ok := p.Named[p.Default]; !ok {
			_ = l.noSuch(p.defaultAt, kind, p.Default, p.Names())
		}
	}
	for _, name := range p.Names() {
		pr := p.Named[name]
		for _, f := range pr.Fallback {
			if _, ok := p.Named[f]; !ok {
				_ = l.noSuch(l.pos(kind+"."+name+".fallback"), kind, f, p.Names())
			}
		}
		switch {
		case pr.Hedge && kind != "llm":
			l.fault(kind+"."+name+".hedge", name+": only models race", "leave hedge out")
		case pr.Hedge && len(pr.Fallback) == 0:
			l.fault(kind+"."+name+".hedge", name+": hedge without a fallback", "name the model to race in fallback:")
		}
	}
}

func (l *loader) noSuch(at Pos, kind, name string, known []string) *Fault {
	under := kind
	if kind == "agent" {
		under = "agents"
	}
	do := "name one of: " + strings.Join(known, ", ")
	if len(known) == 0 {
		do = "there is none yet: write one under " + under
	}
	if k := yamlfault.Nearest(name, known); k != "" {
		do = fmt.Sprintf("did you mean %q?", k)
	}
	if at.Line == 0 {
		at = l.pos(kind)
	}
	f := &Fault{Pos: at, What: fmt.Sprintf("no %s %q", kind, name), Do: do}
	l.faults = append(l.faults, f)
	return f
}

// checkTrunks lets the trunks check themselves and puts their faults in place.
func (l *loader) checkTrunks(c *Config) {
	table, err := trunk.NewTable(c.Trunks, c.Numbers, string(c.DefaultAgent))
	for _, e := range parts(err) {
		var f *trunk.Fault
		if errors.As(e, &f) {
			l.fault(f.Path, f.What, f.Do)
		} else {
			l.fault("trunks", e.Error(), "")
		}
	}
	for i, t := range c.Trunks {
		path := fmt.Sprintf("trunks[%d].type", i)
		switch public := c.HTTP.PublicURL; {
		case !t.OverWebSocket():
		case public == "":
			l.fault(path, "a carrier that is told nowhere to stream to",
				"set http.public_url, and what it must reach: docs/carriers.md")
		case !strings.HasPrefix(public, "https:"):
			l.warn(path, "carriers open streams over TLS only, and http.public_url is none of https", "put a proxy in front")
		}
	}
	if table != nil {
		for _, w := range table.Warnings() {
			l.warn(w.Path, w.What, w.Do)
		}
	}
}

// parts are the errors that were joined into one.
func parts(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joined error itself
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// Prefix reads an address or a prefix of addresses.
func Prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func (l *loader) prefix(path, s string) {
	p, err := Prefix(s)
	switch {
	case err != nil:
		l.fault(path, fmt.Sprintf("%q is no address and no prefix", s), "write one such as 203.0.113.10 or 203.0.113.0/24")
	case p.Masked() != p:
		l.fault(path, fmt.Sprintf("%q has bits beyond its length", s), "did you mean "+p.Masked().String()+"?")
	}
}

// checkAgents looks whether the agents that answer exist.
func (l *loader) checkAgents(c *Config) {
	if l.agentsFailed {
		return // their own faults are told
	}
	ids := c.AgentIDs()
	look := func(path, id string) {
		if id != "" && !slices.Contains(ids, id) && uuid.Validate(id) != nil { // one of the API's
			_ = l.noSuch(l.pos(path), "agent", id, ids)
		}
	}
	for i, n := range c.Numbers {
		look(fmt.Sprintf("numbers[%d].agent", i), n.Agent)
	}
	look("default_agent", string(c.DefaultAgent))
	if len(ids) == 0 {
		l.warn("agents", "no agent: nobody answers a call", "write one in "+c.AgentFiles)
	}
}

func (l *loader) checkKeys(c *Config) {
	usable := 0
	ids := c.AgentIDs()
	l.checkLimits("api.limits", c.API.Limits)
	for i, k := range c.API.Keys {
		path := fmt.Sprintf("api.keys[%d]", i)
		switch raw, err := hex.DecodeString(k.SHA256); {
		case k.SHA256 != "" && (err != nil || len(raw) != 32):
			l.fault(path+".sha256", "not a SHA-256 in hex", "64 digits: printf %s KEY | sha256sum")
		case k.Key != "" && k.SHA256 != "":
			l.fault(path, "both key and sha256", "keep one of them")
		case k.Key == "" && k.SHA256 == "":
			l.warn(path, fmt.Sprintf("the key %q is empty and opens nothing", k.Name), "set its variable, or remove it")
			continue
		case k.Key != "" && len(k.Key) < 16:
			l.warn(path+".key", fmt.Sprintf("the key %q is short and may be guessed", k.Name),
				"make one with: openssl rand -hex 32")
		}
		usable++
		l.checkLimits(path+".limits", k.Limits)
		for j, s := range k.Scopes {
			l.oneOf(fmt.Sprintf("%s.scopes[%d]", path, j), s, Scopes...)
		}
		for j, id := range k.AllowedAgentIDs {
			if !slices.Contains(ids, string(id)) && uuid.Validate(string(id)) != nil && !l.agentsFailed {
				_ = l.noSuch(l.pos(fmt.Sprintf("%s.allowed_agent_ids[%d]", path, j)), "agent", string(id), ids)
			}
		}
	}
	if host, _, err := hostPort(c.HTTP.Listen); err == nil && usable == 0 && !Loopback(host) {
		l.fault("http.listen", "others can reach "+c.HTTP.Listen+", and the API has no key (SEC-13)",
			"add one under api.keys, or listen on 127.0.0.1")
	}
}

func (l *loader) checkLimits(path string, r RateLimits) {
	for _, n := range []struct {
		key string
		of  int
	}{{"per_minute", r.PerMinute}, {"per_hour", r.PerHour}, {"control_per_minute", r.ControlPerMinute}} {
		if n.of < -1 {
			l.fault(path+"."+n.key, fmt.Sprintf("%d requests", n.of), "use 0 for the default, -1 for no limit, or more")
		}
	}
}

// Loopback tells whether a host is this machine only.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (l *loader) checkDialing(d Dialing) {
	for key, list := range map[string][]string{"allow": d.Allow, "deny": d.Deny} {
		for i, p := range list {
			digits := strings.TrimPrefix(p, "+")
			if key == "allow" && strings.HasPrefix(p, "sip:") && len(p) > len("sip:") {
				continue // SIP URIs of that host
			}
			if p == digits || strings.Trim(digits, "0123456789") != "" {
				l.fault(fmt.Sprintf("dialing.%s[%d]", key, i), fmt.Sprintf("%q is no prefix of E.164", p),
					`write one such as "+49"; "+" is every number`)
			}
		}
	}
	if d.PerCall < 0 || d.PerDay < 0 {
		l.fault("dialing", "a negative limit", "use 0 for no limit, or more")
	}
}

// AgentIDs are the ids of all agents.
func (c *Config) AgentIDs() []string {
	out := make([]string, 0, len(c.Agents))
	for _, a := range c.Agents {
		out = append(out, string(a.ID))
	}
	return out
}

// Path is a path of the file, relative to it unless absolute.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) || c.Dir == "" {
		return p
	}
	return filepath.Join(c.Dir, p)
}
