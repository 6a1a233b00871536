package null

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/stttest"
)

func TestConformance(t *testing.T) {
	for name, edges := range map[string]bool{"by energy": false, "by edges": true} {
		t.Run(name, func(t *testing.T) {
			stttest.Run(t, stttest.Subject{
				New: func(t *testing.T) stt.Provider {
					p, err := New(Config{Delay: time.Millisecond, Edges: edges})
					if err != nil {
						t.Fatal(err)
					}
					return p
				},
				Words: "hello",
			})
		})
	}
}

// play sends loud and silent frames at the pace of a call.
func play(t *testing.T, st stt.Stream, loud, silent int) {
	t.Helper()
	frame := make([]int16, 160)
	for i := range loud + silent {
		for j := range frame {
			frame[j] = 0
			if i < loud {
				frame[j] = int16(5000 * (1 - 2*(j/8%2)))
			}
		}
		if err := st.Send(frame); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(audio.FrameTime)
	}
}

func TestTimeIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{Text: "yes", Delay: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		begun := time.Now()
		go func() {
			play(t, st, 0, 25)
			play(t, st, 50, 50)
		}()
		for _, want := range []struct {
			kind stt.Kind
			at   time.Duration
		}{
			{stt.Interim, 680 * time.Millisecond}, // with the frame that makes 200 ms of voice full
			{stt.Final, 1780 * time.Millisecond},  // 300 ms after the last loud frame was sent
		} {
			ev := <-st.Events()
			if at := time.Since(begun); ev.Kind != want.kind || at != want.at || ev.Text != "yes" || ev.Start != 500*time.Millisecond {
				t.Errorf("%+v after %v, want %v after %v", ev, at, want.kind, want.at)
			}
			if ev.Kind == stt.Final && (!ev.Endpointed || ev.End != 1500*time.Millisecond) {
				t.Errorf("%+v", ev)
			}
		}
		time.Sleep(2 * time.Second)
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Threshold: 1}); err == nil {
		t.Error("a threshold above full scale is taken")
	}
}
