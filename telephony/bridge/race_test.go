package bridge_test

import (
	"sync"
	"testing"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/bridge"
)

// TestEverythingChangesWhileFramesFlow serves four legs on threads of their own
// while others rewire, press keys, leave and close.
func TestEverythingChangesWhileFramesFlow(t *testing.T) {
	t.Parallel()
	for range 5 {
		b := bridge.New(bridge.Config{Pressed: func(*bridge.Party, byte, error) {}})
		lines := []*line{
			newLine(8000, nil), newLine(16000, nil), newLine(8000, tone(440, -20, 8000, 0, 0)), newLine(16000, nil),
		}
		p := join(b, lines...)
		p[0].KeysTo(p[1:]...)
		stop := make(chan struct{})
		var media, control sync.WaitGroup
		for i, l := range lines {
			media.Go(func() {
				pcm := make([]int16, l.rate/50)
				for {
					select {
					case <-stop:
						return
					default:
						p[i].Hear(audio.Frame{PCM: pcm, Rate: l.rate})
						p[i].Next(pcm)
					}
				}
			})
		}
		v := b.Voice(audio.RingbackUS.Source(8000, 0), p[0])
		for i, q := range p {
			control.Go(func() {
				for k := range 50 {
					q.SpeakTo(p[k%4], p[(k+i)%4])
					v.SpeakTo(p[(k+i)%4])
					q.Mute(k%3 == 0)
					q.Tap(bridge.Taps{Sent: func([]int16, bool) {}})
					_ = q.Press(telephony.Digit{Key: '1'})
					_ = q.Stats()
				}
				if i > 0 {
					q.Leave()
				}
			})
		}
		control.Go(b.Close)
		control.Wait()
		b.Close()
		for i, q := range p {
			q.SpeakTo(p...)
			before := q.Stats().Frames
			for range 5 {
				q.Next(make([]int16, 160))
			}
			if after := q.Stats().Frames; after != before {
				t.Errorf("party %d hears %d frames on a closed bridge", i, after-before)
			}
		}
		close(stop)
		media.Wait()
	}
}
