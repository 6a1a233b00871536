package tracks

import (
	"math"
	"slices"
	"testing"
	"time"
)

// tone stands for a voice.
func tone(text, by string) ([]int16, error) {
	pcm := make([]int16, Rate/12*len(text))
	for i := range pcm {
		pcm[i] = int16(9000 * math.Sin(float64(i)*0.1*float64(len(by))))
	}
	return pcm, nil
}

func TestTheSameSeedIsTheSameTrack(t *testing.T) {
	t.Parallel()
	a, err := Disturbances(tone, 2*time.Minute, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Disturbances(tone, 2*time.Minute, 1)
	c, _ := Disturbances(tone, 2*time.Minute, 2)
	if !slices.Equal(a.PCM, b.PCM) || slices.Equal(a.PCM, c.PCM) {
		t.Error("the seed does not make the track")
	}
	kinds := map[string]int{}
	for _, m := range a.Marks {
		kinds[m.Kind]++
	}
	if kinds["request"] != 3 || kinds["cough"] == 0 || kinds["hum"] == 0 || kinds["knock"] == 0 || kinds["word"] == 0 {
		t.Errorf("%v", kinds)
	}
}

func TestACrowdHasMusicAndTalk(t *testing.T) {
	t.Parallel()
	a, err := Crowd(tone, 2*time.Minute, 1, -6)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, m := range a.Marks {
		kinds = append(kinds, m.Kind)
	}
	if want := []string{"request", "music", "request", "babble", "request", "music"}; !slices.Equal(kinds, want) {
		t.Errorf("%v", kinds)
	}
}

func TestNoiseHasItsLevel(t *testing.T) {
	t.Parallel()
	for _, want := range []float64{100, 1200} {
		if pcm := Noise(1, 4*time.Second, Rate, want); math.Abs(RMS(pcm)/want-1) > 0.05 && want > 200 {
			t.Errorf("%.0f, want %.0f", RMS(pcm), want)
		}
	}
}
