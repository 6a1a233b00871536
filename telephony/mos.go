package telephony

import "time"

// MOS is the opinion that the E-model (ITU-T G.107) has of a connection: delay
// from mouth to ear, one way; loss of packets, 0 to 1. Codecs are all taken
// for G.711 with concealment (G.113: Ie 0, Bpl 25.1).
func MOS(delay time.Duration, loss float64) float64 {
	const bpl = 25.1
	d := delay.Seconds() * 1000
	id := 0.024 * d
	if d > 177.3 {
		id += 0.11 * (d - 177.3)
	}
	ppl := 100 * min(max(loss, 0), 1)
	r := 93.2 - id - 95*ppl/(ppl+bpl)
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
