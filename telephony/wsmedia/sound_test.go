package wsmedia

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/testkit/carrier"
	"github.com/patchcord/patchcord/telephony"
)

// voice is a source that speaks while it is told to, and counts what was pulled.
type voice struct {
	mu     sync.Mutex // guards what follows
	tone   audio.Source
	on     bool
	frames int
	pulls  int
}

func (v *voice) Next(dst []int16) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pulls++
	if !v.on {
		return false
	}
	v.frames++
	return v.tone.Next(dst)
}

func (v *voice) speak(on bool) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on = on
	return time.Duration(v.frames) * audio.FrameTime
}

func newVoice() *voice {
	return &voice{tone: audio.Tone{Hz: [2]float64{440}, Level: -10}.Source(8000, 0)}
}

// frames is a sink that keeps which frames were lost.
type frames struct {
	mu   sync.Mutex // guards lost
	lost []bool
}

func (f *frames) Hear(fr audio.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = append(f.lost, fr.Lost)
}

func (f *frames) count() (all, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lost {
		if l {
			lost++
		}
	}
	return len(f.lost), lost
}

// talking opens a call whose leg has a voice.
func talking(t *testing.T, kind carrier.Kind) (*carrier.Call, telephony.Leg, *voice, *frames) {
	t.Helper()
	v, heard, legs := newVoice(), &frames{}, make(chan telephony.Leg, 1)
	s := serve(t, handler(func(ctx context.Context, leg telephony.Leg) {
		leg.Connect(heard, v)
		_ = leg.Answer(ctx)
		legs <- leg
		<-ctx.Done()
	}))
	c := s.call(kind)
	return c, <-legs, v, heard
}

// INV1, INV2, INV44: a carrier is given sound at most 120 ms ahead of real time;
// clear takes what it has not played, and that is what Flush tells, to 20 ms.
func TestBargeInTakesBackWhatWasNotPlayed(t *testing.T) {
	for _, kind := range []carrier.Kind{carrier.Twilio, carrier.Telnyx} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, leg, v, _ := talking(t, kind)
				far, ok := leg.(telephony.Flusher)
				if !ok {
					t.Fatal("the leg tells of no far end")
				}
				time.Sleep(500 * ms)
				if far.Ahead() != 0 {
					t.Errorf("%s ahead before a word", far.Ahead())
				}
				v.speak(true)
				for range 300 {
					time.Sleep(7 * ms)
					if d := far.Ahead(); d > 120*ms {
						t.Fatalf("%s ahead", d)
					}
				}
				given := v.speak(false)
				unheard := far.Flush()
				if far.Ahead() != 0 {
					t.Errorf("%s ahead behind a flush", far.Ahead())
				}
				time.Sleep(200 * ms)
				got := c.Tally()
				if off := unheard - got.Cleared; got.Clears != 1 || off < -20*ms || off > 20*ms || unheard == 0 {
					t.Errorf("%d clears took %s, Flush says %s", got.Clears, got.Cleared, unheard)
				}
				if off := given - unheard - got.Played; off < -20*ms || off > 20*ms {
					t.Errorf("%s was given and %s not heard; the caller heard %s", given, unheard, got.Played)
				}
				if got.Most > 120*ms || got.Marks < 8 || len(got.Unknown) > 0 {
					t.Errorf("the carrier saw %+v", got)
				}
				// What is said next is heard from its start to its end, and that is known.
				v.speak(true)
				time.Sleep(time.Second)
				more := v.speak(false) - given
				if far.Ahead() == 0 {
					t.Error("nothing ahead in the middle of a sentence")
				}
				time.Sleep(300 * ms)
				if far.Ahead() != 0 {
					t.Errorf("%s ahead when all is played", far.Ahead())
				}
				if heard := c.Tally().Played - got.Played; heard != more {
					t.Errorf("%s was said, %s was heard", more, heard)
				}
			})
		})
	}
}

// One clock: each 20 ms a frame is heard and one is pulled, whatever comes.
func TestOneFrameEach20Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, v, heard := talking(t, carrier.Twilio)
		time.Sleep(10 * time.Second)
		c.Mute(true) // nothing comes any more: our own time goes on
		time.Sleep(10 * time.Second)
		all, _ := heard.count()
		v.mu.Lock()
		pulls := v.pulls
		v.mu.Unlock()
		if all < 999 || all > 1001 || pulls < 999 || pulls > 1001 {
			t.Errorf("in 20 s %d frames were heard and %d pulled", all, pulls)
		}
	})
}

func TestWhatIsMissingIsToldAsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leg, _, heard := talking(t, carrier.Telnyx)
		c.Connect(nil, audio.Tone{Hz: [2]float64{1000}, Level: -10}.Source(8000, 0))
		time.Sleep(2 * time.Second)
		_, before := heard.count()
		c.Drop(3)
		time.Sleep(2 * time.Second)
		_, after := heard.count()
		st := leg.Stats()
		if n := after - before; n < 3 || n > 5 {
			t.Errorf("3 chunks are missing, %d frames are told as lost", n)
		}
		if st.PacketsLost != 3 || st.Concealed < 3 || st.Loss <= 0 || st.MOS < 3 {
			t.Errorf("the figures are %+v", st)
		}
	})
}

func TestACallerWhoSendsNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leg, _, _ := talking(t, carrier.Twilio)
		time.Sleep(time.Second)
		c.Mute(true)
		begun := time.Now()
		e, ok := (<-leg.Events()).(telephony.MediaLost)
		if d := time.Since(begun); !ok || d < silentLater-time.Second || d > silentLater+time.Second {
			t.Errorf("%+v after %s", e, d)
		}
	})
}

// api is a carrier's API, which keeps what it was asked for.
type api struct {
	mu     sync.Mutex // guards what follows
	asked  []string
	status int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // of a bad one there is nothing in the line
	user, password, _ := r.BasicAuth()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, fmt.Sprint(r.Method, " ", r.URL.EscapedPath(), " ", user, password, r.Header.Get("Authorization") != "", " ",
		r.PostForm.Encode()))
	w.WriteHeader(a.status)
	_, _ = fmt.Fprint(w, `{"message":"Call is not in-progress"}`)
}

// ordered opens a call of a trunk whose carrier's API is there.
func ordered(t *testing.T, kind carrier.Kind, status int) (*carrier.Call, telephony.Leg, *api) {
	t.Helper()
	a, legs := &api{status: status}, make(chan telephony.Leg, 1)
	s := serve(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Answer(ctx)
		legs <- leg
		<-ctx.Done()
	}), func(c *Config, all map[telephony.TrunkID]Account) {
		c.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			return w.Result(), nil
		})}
		for name, acc := range all {
			acc.AccountSID, acc.AuthToken, acc.APIURL = account, token, "https://api.example.com/"
			all[name] = acc
		}
	})
	c := s.call(kind)
	return c, <-legs, a
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCallsAreEndedAndHandedOnOverTheCarriersAPI(t *testing.T) {
	for _, kind := range []carrier.Kind{carrier.Twilio, carrier.Telnyx} {
		path := "POST /2010-04-01/Accounts/" + account + "/Calls/%s.json " + account + token + "true "
		field := "Twiml"
		if kind == carrier.Telnyx {
			path, field = "POST /v2/texml/Accounts/"+account+"/Calls/%s true ", "Texml"
		}
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, leg, a := ordered(t, kind, 200)
				_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
				for range c.Events() { // until it is over
				}
				time.Sleep(time.Second)
				synctest.Wait()
				want := fmt.Sprintf(path, c.Info().ID) + "Status=completed"
				if len(a.asked) != 1 || a.asked[0] != want {
					t.Errorf("asked %q, want %q", a.asked, want)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				c, leg, a := ordered(t, kind, 200)
				if err := leg.Refer(t.Context(), telephony.ReferTo{Target: "+4930&99"}); err != nil {
					t.Fatal(err)
				}
				if e, ok := (<-leg.Events()).(telephony.ReferProgress); !ok || !e.Final || e.Status != 200 {
					t.Errorf("%+v", e)
				}
				_ = c.Hangup(t.Context(), telephony.Cause{}) // the carrier stops the stream
				if e, ok := (<-leg.Events()).(telephony.Ended); !ok || e.Cause.Reason != telephony.ReasonTransferred {
					t.Errorf("%+v", e)
				}
				if len(a.asked) != 1 || !strings.Contains(a.asked[0], field+"=%3C%3Fxml") ||
					!strings.Contains(a.asked[0], "%3CDial%3E%3CNumber%3E%2B4930%26amp%3B99%3C%2FNumber%3E%3C%2FDial%3E") {
					t.Errorf("asked %q", a.asked)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				c, leg, _ := ordered(t, kind, 404)
				err := leg.Refer(t.Context(), telephony.ReferTo{Target: "sip:a@b.example"})
				if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "Call is not in-progress") {
					t.Errorf("refused by the carrier: %v", err)
				}
				if err := leg.Refer(t.Context(), telephony.ReferTo{Replaces: leg}); err == nil {
					t.Error("a transfer in the place of a call")
				}
				_ = c.Hangup(t.Context(), telephony.Cause{})
				if e, ok := (<-leg.Events()).(telephony.Ended); !ok || e.Cause.Reason != telephony.ReasonNormal {
					t.Errorf("%+v", e)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, leg, _, _ := talking(t, carrier.Twilio)
		if err := leg.Refer(t.Context(), telephony.ReferTo{Target: "+49"}); err == nil || !strings.Contains(err.Error(), "account_sid") {
			t.Errorf("a transfer without an account: %v", err)
		}
	})
}
