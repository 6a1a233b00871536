package playout

// quietStep is the length of the pieces a quiet spot is looked for in: 100 of
// them in a second.
const quietStep = 100

// rewind moves back to the last quiet spot at most limit samples behind the
// position and returns how many samples that was. A spot is quiet when it is
// 20 dB below the loudest piece looked at; where nothing is, the quietest piece
// is taken, for a cut there is heard the least.
func (r *reply) rewind(limit, rate int) int {
	var pieces [64]int64
	step := max(rate/quietStep, 1)
	count := min(limit/step, len(pieces))
	buf := make([]int16, count*step)
	have := r.back(buf)
	count = have / step
	var loudest int64
	best := 0
	for i := range count { // piece i ends i steps before the position
		at := len(buf) - (i+1)*step
		for _, v := range buf[at : at+step] {
			pieces[i] += int64(v) * int64(v)
		}
		loudest = max(loudest, pieces[i])
		if pieces[i] < pieces[best] {
			best = i
		}
	}
	for i := range count {
		if pieces[i] <= loudest/100 {
			best = i
			break
		}
	}
	if count == 0 {
		return 0
	}
	n := best * step // just after the quiet piece: a word's start
	r.seek(n)
	return n
}
