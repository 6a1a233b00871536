package sip

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// standing is a dialog that is up, or an INVITE of ours under way, as much of it
// as ends it: one line of the file of a Dialogs. It holds no credentials, only what
// BYE and CANCEL say in the clear.
type standing struct {
	Tag      string            `json:"tag"` // our own
	Over     bool              `json:"over,omitempty"`
	Call     telephony.CallID  `json:"call,omitempty"`
	Trunk    telephony.TrunkID `json:"trunk,omitempty"` // "": dialled to a URI
	Outbound bool              `json:"outbound,omitempty"`
	CallID   string            `json:"call_id,omitempty"`
	Local    string            `json:"local,omitempty"` // name-addr with tag, as From of our requests
	Remote   string            `json:"remote,omitempty"`
	// RemoteTag is what stands in Remote, "" of a peer of RFC 2543.
	RemoteTag string   `json:"remote_tag,omitempty"`
	Target    string   `json:"target,omitempty"`
	Routes    []string `json:"routes,omitempty"`
	// Branch is that of an INVITE which has no final response yet, "" of a dialog.
	Branch string `json:"branch,omitempty"`
	// Seq is the CSeq of that INVITE; of a dialog one that no request of ours has passed. It lies ahead of the last
	// one used, and the line is written again before a dialog comes near it:
	// what was sent behind the last line, refreshes of the session too, stays below.
	Seq       uint32         `json:"seq,omitempty"`
	Transport string         `json:"transport,omitempty"` // "UDP", "TCP", "TLS"
	Host      string         `json:"host,omitempty"`
	Source    netip.AddrPort `json:"source,omitzero"`
	Socket    netip.AddrPort `json:"socket,omitzero"`
	Gateway   netip.Addr     `json:"gateway,omitzero"`
	At        int64          `json:"at,omitempty"` // Unix time, s: when the line was written
}

// seqAhead is how far Seq lies ahead, in requests. A line is written when half
// of it is used, so the writer may be that far behind.
const seqAhead = 1000

// maxSeq is what CSeq may not reach (RFC 3261 section 8.1.1.5).
const maxSeq = 1<<31 - 1

// standing is the dialog as it is, or the INVITE under way.
func (g *leg) standing() *standing {
	d := &g.dialog
	s := &standing{
		Tag: g.localTag, Call: g.Info().ID, Outbound: g.direction == telephony.Outbound, CallID: g.callID,
		Local: d.local, Remote: d.remote, RemoteTag: d.remoteTag, Target: d.target.String(),
		Seq: min(d.localSeq+seqAhead, maxSeq-seqAhead), Transport: d.transport, Host: d.host, Source: d.source,
		Socket: d.local4, Gateway: g.gateway, At: time.Now().Unix(),
	}
	if a := g.attempt; a != nil && g.state == stateRinging {
		s.Branch, s.Seq, s.Transport, s.Source = a.branch, a.seq, a.transport, a.to
		s.Target, s.Remote, s.RemoteTag = a.req.Recipient.String(), a.req.To().Value(), ""
	}
	if g.trunk != nil {
		s.Trunk = g.trunk.ID
	}
	for i := range d.routes {
		s.Routes = append(s.Routes, d.routes[i].String())
	}
	return s
}

// keep has the file of dialogs know the leg's as it is now. It is called after
// whatever the leg does, and waits for nothing.
func (g *leg) keep() {
	j := g.u.cfg.Dialogs
	if j == nil {
		return
	}
	d, k := &g.dialog, g.kept
	switch g.state {
	case stateRinging:
		if g.attempt == nil || k != nil && k.Branch == g.attempt.branch {
			return
		}
	case stateAnswered, stateUp:
		if k != nil && k.Branch == "" && d.localSeq+seqAhead/2 <= k.Seq && d.source == k.Source &&
			d.transport == k.Transport && d.remoteTag == k.RemoteTag && d.target.String() == k.Target {
			return
		}
	default:
		return
	}
	g.kept = g.standing()
	j.put(g.kept, k == nil)
}

// line is a standing in the file.
func (s *standing) line() []byte {
	b, err := json.Marshal(s)
	if err != nil { // cannot be: strings and addresses
		return nil
	}
	return append(b, '\n')
}

// parseStanding reads a line. A dialog it gives makes a request.
func parseStanding(line []byte) (*standing, error) {
	s := &standing{}
	if err := json.Unmarshal(line, s); err != nil {
		return nil, err
	}
	if !isToken(s.Tag) {
		return nil, fmt.Errorf("tag %q", s.Tag)
	}
	if s.Over {
		return s, nil
	}
	if s.CallID == "" || !printable(s.CallID) || s.Seq == 0 || s.Seq >= maxSeq {
		return nil, fmt.Errorf("Call-ID %q, CSeq %d", s.CallID, s.Seq)
	}
	if s.Transport != "UDP" && s.Transport != "TCP" && s.Transport != "TLS" {
		return nil, fmt.Errorf("transport %q", s.Transport)
	}
	if s.Branch != "" && (!s.Outbound || s.RemoteTag != "" || !isToken(s.Branch) || !s.Source.IsValid()) {
		return nil, fmt.Errorf("branch %q of an INVITE to %s", s.Branch, s.Source)
	}
	if _, err := s.dialog(); err != nil {
		return nil, err
	}
	return s, nil
}

// dialog is the dialog that a line tells of.
func (s *standing) dialog() (dialog, error) {
	d := dialog{
		callID: s.CallID, local: s.Local, remote: s.Remote, remoteTag: s.RemoteTag, localSeq: s.Seq,
		transport: s.Transport, host: s.Host, source: s.Source, local4: s.Socket,
	}
	for _, party := range []struct{ value, tag string }{{s.Local, s.Tag}, {s.Remote, s.RemoteTag}} {
		a, ok := parseAddress(party.value)
		if !ok || !printable(party.value) {
			return d, fmt.Errorf("party %q", party.value)
		}
		if tag, _ := a.param("tag"); tag != party.tag {
			return d, fmt.Errorf("tag %q of party %q", party.tag, party.value)
		}
	}
	var err error
	if d.target, err = parseURI(s.Target); err != nil {
		return d, err
	}
	for _, r := range s.Routes {
		var uri sip.Uri
		if uri, err = parseURI(r); err != nil {
			return d, err
		}
		d.routes = append(d.routes, uri)
	}
	return d, nil
}
