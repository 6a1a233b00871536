package turn

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// server is a call whose caller is heard by a speech-to-speech model.
type server struct {
	t   *testing.T
	m   *Machine
	now time.Duration
	out []Effect
}

func newServerCall(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, m: New(Policy{})}
	return s.do(Answered{})
}

// do takes events at the time it is, and keeps what came of the last.
func (s *server) do(evs ...Event) *server {
	for _, e := range evs {
		s.out = slices.Clone(s.m.Step(e, s.now))
	}
	return s
}

func (s *server) after(d time.Duration) *server {
	until := s.now + d
	for at, ok := s.m.Next(); ok && at <= until; at, ok = s.m.Next() {
		s.now = max(s.now, at)
		s.out = slices.Clone(s.m.Step(Tick{}, s.now))
	}
	s.now = until
	return s
}

func (s *server) want(es ...Effect) *server {
	s.t.Helper()
	if !slices.EqualFunc(s.out, es, func(a, b Effect) bool { return reflect.DeepEqual(a, b) }) {
		s.t.Fatalf("got %+v\nwant %+v", s.out, es)
	}
	return s
}

func TestServersTurnIsCommittedAtOnceWithoutItsWords_convR10(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second)
	s.do(ServerVoice{At: s.now - 100*ms}).want().after(2 * time.Second)
	s.do(VoiceEnd{At: s.now - 500*ms}).want()
	s.do(ServerTurn{"a"}).want(
		CommitUser{Turn: 1, End: s.now - 500*ms, Later: true},
		StartReply{G: 1, Turn: 1},
	)
	s.do(ServerTurn{"a"}).want() // told twice
	s.after(300 * ms).do(Heard{"a", " where is my order "}).want(HeardUser{Turn: 1, Text: "where is my order"})
	s.do(Heard{"a", "again"}).want()
	s.after(2 * time.Second) // no commit of ours follows
	if s.m.Turn() != 1 {
		t.Errorf("%d turns", s.m.Turn())
	}
}

func TestServersOnsetIsProof_BP7(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second).do(ServerTurn{"a"}, Audio{1}, Started{1}).after(2 * time.Second)
	s.do(ServerVoice{s.now}).want(Cancel{G: 1, Reason: "barge_in", Proof: ProofServer, Interrupted: true})
	s.after(time.Second).do(VoiceEnd{At: s.now}, ServerTurn{"b"}).want(
		CommitUser{Turn: 2, End: s.now, Later: true}, StartReply{G: 2, Turn: 2})
	s.do(Heard{"b", "second"}).want(HeardUser{Turn: 2, Text: "second"}) // words in any order
	s.do(Heard{"a", "first"}).want(HeardUser{Turn: 1, Text: "first"})
}

func TestCallerWhoGoesOnBeforeTheAnswerIsOneTurn(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second).do(ServerTurn{"a"}).after(200 * ms)
	s.do(Heard{"a", "my name is john"}).after(100 * ms)
	s.do(ServerVoice{s.now}).want() // held, not cancelled: the server may take it for nothing
	s.do(Audio{1}).want()
	s.after(3 * time.Second).want() // … and never over the caller
	s.do(VoiceEnd{At: s.now}, ServerTurn{"b"}).want(
		Cancel{G: 1, Reason: "absorbed"},
		CommitUser{Turn: 1, Rev: 1, Text: "my name is john", End: s.now, Amend: true, Later: true},
		StartReply{G: 2, Turn: 1},
	)
	s.do(Heard{"b", "doe"}).want(HeardUser{Turn: 1, Text: "my name is john doe"})
}

func TestNoiseThatTheServerTakesBackLetsTheReplySound(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second).do(ServerTurn{"a"}, ServerVoice{time.Second}, Audio{1}).want()
	s.after(time.Second).do(VoiceEnd{At: s.now}).want()
	if s.after(1600 * ms); s.m.front == nil {
		t.Error("the reply is held for ever")
	}
}

func TestWordsUnderALockedGreetingAreTheNextTurn_INV7(t *testing.T) {
	t.Parallel()
	s := &server{t: t, m: New(Policy{})}
	s.do(Answered{Greeting: "Calls are recorded.", Locked: true}, Audio{1}, Started{1}).after(time.Second)
	s.do(ServerVoice{s.now}, VoiceEnd{At: s.now}, ServerTurn{"a"}).want().after(time.Second)
	s.do(Played{1}).want(
		Finish{1}, CommitUser{Turn: 1, End: s.now - time.Second, Later: true}, StartReply{G: 2, Turn: 1})
}

func TestKeysAndUnheardWordsAreOneItem_convD4(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second).do(Digit{'4'}, ServerTurn{"a"}).want().after(200 * ms)
	s.do(Digit{'#'}).want(
		CommitUser{Turn: 1, Text: "DTMF 4", End: s.now, Keys: "4", Later: true}, StartReply{G: 1, Turn: 1})
	s.do(Heard{"a", "that is four"}).want(HeardUser{Turn: 1, Text: "DTMF 4; said: that is four", Keys: "4"})
}

func TestWordsThatNeverComeAreToldAtTheEnd(t *testing.T) {
	t.Parallel()
	s := newServerCall(t).after(time.Second).do(ServerTurn{"a"}).after(100 * ms)
	s.do(End{Reason: EndAPI}).do(ServerTurn{"late"}).do(Heard{"late", "one more thing"}).want(
		Drop{"one more thing", "draining"})
	s.do(Bye{})
	if !slices.Contains(s.out, Effect(HeardUser{Turn: 1})) {
		t.Errorf("got %+v", s.out)
	}
}
