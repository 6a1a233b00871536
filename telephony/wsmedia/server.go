package wsmedia

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// errClosed is of what begins when the Server has ended.
var errClosed = errors.New("wsmedia: not serving")

// Server takes the calls of all carriers.
type Server struct {
	cfg      Config
	log      *zap.Logger
	tokens   tokens
	refusals refusals
	seats    seats

	mu       sync.Mutex // guards what follows
	legs     map[*leg]struct{}
	draining bool
	closed   bool
	wg       sync.WaitGroup // all that goes runs; added to under mu
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Account == nil || cfg.Handler == nil {
		return nil, errors.New("wsmedia: Account and Handler are needed")
	}
	if err := checkURL(cfg.PublicURL); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Server{cfg: cfg, log: cfg.Log, legs: map[*leg]struct{}{}}, nil
}

// Mount hands over the handlers with their patterns of http.ServeMux. They
// check their callers themselves.
func (s *Server) Mount(on func(pattern string, h http.Handler)) {
	on("POST /v1/trunks/{trunk}/voice", http.HandlerFunc(s.voice))
	on("GET /v1/trunks/{trunk}/stream/{token}", http.HandlerFunc(s.open))
}

// Drain refuses further calls, or takes them again; those that are up go on.
func (s *Server) Drain(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = on
}

// Calls is how many are up.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.legs)
}

// Serve returns when ctx has ended and every call is over: those that are up
// then are hung up.
func (s *Server) Serve(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	up := make([]*leg, 0, len(s.legs))
	for l := range s.legs {
		up = append(up, l)
	}
	s.mu.Unlock()
	for _, l := range up {
		l.end(telephony.Cause{Reason: telephony.ReasonDraining})
	}
	s.wg.Wait()
	return nil
}

// join lets Serve wait for who calls wg.Done; false where it has ended.
func (s *Server) join() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// goes runs f, which Serve waits for; false where it has ended.
func (s *Server) goes(f func()) bool {
	if !s.join() {
		return false
	}
	go func() {
		defer s.wg.Done()
		f()
	}()
	return true
}

// account is the trunk of a request and what its carrier does.
func (s *Server) account(r *http.Request) (Account, *dialect, error) {
	name := r.PathValue("trunk")
	a, ok := s.cfg.Account(telephony.TrunkID(name))
	if !ok {
		return a, nil, fmt.Errorf("no trunk %.64q is of a carrier with WebSockets: trunks has none with such a type", name)
	}
	d := dialectNamed(a.Type)
	if d == nil {
		return a, nil, fmt.Errorf("the trunk is of the type %q, which no carrier is", a.Type)
	}
	if key := d.need(&a); key != "" {
		return a, nil, fmt.Errorf("the trunk has no %s: nothing can tell its carrier from others", key)
	}
	if s.cfg.PublicURL == "" {
		return a, nil, errors.New("http.public_url is not set: the carrier cannot be told where to stream to")
	}
	return a, d, nil
}

// voice answers the webhook of a call with the address of its stream.
func (s *Server) voice(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, err error) {
		s.refused(r, "webhook", err)
		http.Error(w, http.StatusText(status), status)
	}
	a, d, err := s.account(r)
	if err != nil {
		refuse(http.StatusNotFound, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(http.StatusRequestEntityTooLarge, err)
		return
	}
	if err := d.signed(&a, s.cfg.PublicURL+r.URL.RequestURI(), r, body, timeNow()); err != nil {
		refuse(http.StatusForbidden, err)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		refuse(http.StatusBadRequest, errors.New("the body is no form"))
		return
	}
	c := d.caller(form)
	if a.AccountSID != "" && c.account != a.AccountSID {
		refuse(http.StatusForbidden, fmt.Errorf("a call of the account %.64q, not of the trunk's account_sid", c.account))
		return
	}
	if c.call == "" {
		refuse(http.StatusBadRequest, errors.New("a webhook without a CallSid: it is none of a call"))
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	info := s.info(&a, d, c, a.headers(form, r.URL.Query()))
	k := ticket{trunk: a.Trunk, caller: c, info: info}
	cause, ok := s.accept(info)
	if ok && !s.sit(k.seat()) {
		cause, ok = telephony.Cause{Reason: telephony.ReasonOverload, Text: "max_calls of the trunk are up"}, false
	}
	if !ok {
		s.log.Info("wsmedia: call refused", zap.String("trunk", string(a.Trunk)), zap.String("reason", string(cause.Reason)),
			zap.String("text", cause.Text))
		_, _ = io.WriteString(w, document(rejecting(cause)))
		return
	}
	token, err := s.tokens.add(k, func() { s.rise(k.seat()) })
	if err != nil {
		s.rise(k.seat())
		refuse(http.StatusServiceUnavailable, err)
		return
	}
	address := webSocket(s.cfg.PublicURL) + "/v1/trunks/" + url.PathEscape(string(a.Trunk)) + "/stream/" + token
	_, _ = io.WriteString(w, document("<Connect>"+d.stream(address, a.codec(d))+"</Connect><Hangup/>"))
}

// accept is whether a call may come.
func (s *Server) accept(info telephony.Info) (telephony.Cause, bool) {
	s.mu.Lock()
	draining := s.draining || s.closed
	s.mu.Unlock()
	if draining {
		return telephony.Cause{Reason: telephony.ReasonDraining, Text: "shutting down"}, false
	}
	return s.cfg.Accept(info)
}

// document is a carrier's document; both read the same.
func document(instructions string) string {
	return xml.Header + "<Response>" + instructions + "</Response>"
}

// rejecting is the instruction that refuses a call.
func rejecting(c telephony.Cause) string {
	switch c.Reason {
	case telephony.ReasonBusy, telephony.ReasonOverload, telephony.ReasonDraining, telephony.ReasonCongestion:
		return `<Reject reason="busy"/>`
	}
	return `<Reject reason="rejected"/>`
}

// dialing is the document that hands a call on to a number or a SIP URI.
func dialing(target string) string {
	noun := "Number"
	if scheme, _, ok := strings.Cut(target, ":"); ok && strings.HasPrefix(strings.ToLower(scheme), "sip") {
		noun = "Sip"
	}
	return document("<Dial><" + noun + ">" + escaped(target) + "</" + noun + "></Dial>")
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
