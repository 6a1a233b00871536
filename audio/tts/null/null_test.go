package null

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/ttstest"
)

func TestConformance(t *testing.T) {
	ttstest.Run(t, ttstest.Subject{New: func(t *testing.T) tts.Provider {
		p, err := New(Config{FirstByte: time.Millisecond, Speed: 100})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}})
}

func TestTimeIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		st, err := p.Synthesize(t.Context(), tts.Request{Text: "one two three, four", Format: audio.Format{Rate: 8000}})
		if err != nil {
			t.Fatal(err)
		}
		var sound time.Duration
		var marks []tts.WordMark
		for {
			c, err := st.Next()
			if err != nil {
				break
			}
			if want := 150*time.Millisecond + sound/8; time.Since(begun) != want {
				t.Fatalf("sound at %v came after %v, want %v", sound, time.Since(begun), want)
			}
			sound += audio.Duration(len(c.PCM), c.Rate)
			marks = append(marks, c.Words...)
		}
		if sound != 1200*time.Millisecond {
			t.Errorf("four words sound for %v", sound)
		}
		if len(marks) != 4 || marks[2].TextEnd != len("one two three,") || marks[3].End != sound {
			t.Errorf("marks %+v", marks)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{Word: -1}, {Level: 3}, {Rate: 100}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
