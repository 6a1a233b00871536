package telephony

import (
	"math"
	"testing"
	"time"
)

// ITU-T G.107 with the defaults; G.113 appendix I for loss with concealment.
func TestMOS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		delay time.Duration
		loss  float64
		want  float64
	}{
		{0, 0, 4.41},
		{100 * time.Millisecond, 0, 4.36},
		{400 * time.Millisecond, 0, 3.05},
		{50 * time.Millisecond, 0.05, 3.87},
		{0, 1, 1.18},
	} {
		if got := MOS(c.delay, c.loss); math.Abs(got-c.want) > 0.05 {
			t.Errorf("MOS(%v, %.2f) = %.2f, want %.2f", c.delay, c.loss, got, c.want)
		}
	}
}
