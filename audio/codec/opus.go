package codec

import "github.com/thesyncim/gopus"

// How Opus is sent: wideband speech at a rate that leaves room for a copy of
// the frame before, in case that one is lost. Complexity 4 costs half of the
// library's default and cannot be told from it at this rate.
const (
	opusBitrate    = 24000 // bit/s
	opusComplexity = 4     // of 10
	opusLoss       = 5     // percent that the copies are meant for

	opusFrame = 1275 // bytes of the longest frame (RFC 6716 section 3.2.1)
	opusMost  = 120  // ms of sound in the longest packet
	opusStep  = 400  // frames are whole numbers of 1/400 s
)

// opusCodec is Opus (RFC 6716), mono at 16 kHz whatever the peer sends: the
// decoder mixes stereo down and leaves out what is above 8 kHz. Either state
// is made when it is first needed, for a codec is used for one direction.
type opusCodec struct {
	spec  Spec
	enc   *gopus.Encoder
	frame int // samples that enc is set for
	dec   *gopus.Decoder
	copy  []float32 // room for a frame recovered from the packet behind it
}

func newOpus(s Spec) Codec { return &opusCodec{spec: s} }

var _ Recoverer = (*opusCodec)(nil)

func (o *opusCodec) Spec() Spec { return o.spec }

// Encode codes one frame: 2.5, 5, 10, 20, 40, 60 ms. Of another length there
// is nothing to code.
func (o *opusCodec) Encode(dst []byte, pcm []int16) int {
	if len(pcm) == 0 || len(dst) == 0 || !o.coder() {
		return 0
	}
	if o.frame != len(pcm) {
		if o.enc.SetFrameSize(len(pcm)) != nil {
			return 0
		}
		o.frame = len(pcm)
	}
	n, err := o.enc.EncodeInt16(pcm, dst[:min(len(dst), opusFrame)])
	if err != nil {
		return 0
	}
	return n
}

// coder makes the encoder.
func (o *opusCodec) coder() bool {
	if o.enc != nil {
		return true
	}
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: o.spec.Rate, Channels: 1, Application: gopus.ApplicationVoIP,
	})
	if err != nil {
		return false // no rate of ours
	}
	for _, err := range []error{
		enc.SetBitrate(opusBitrate), enc.SetComplexity(opusComplexity), enc.SetSignal(gopus.SignalVoice),
		enc.SetInBandFEC(gopus.InBandFECEnabled), enc.SetPacketLoss(opusLoss),
	} {
		if err != nil {
			return false // no value of ours
		}
	}
	o.enc = enc
	return true
}

// Decode decodes a packet of any frames. One that is malformed, or longer than
// dst, decodes to nothing.
func (o *opusCodec) Decode(dst []int16, payload []byte) int {
	if len(payload) == 0 || !o.decoder() {
		return 0
	}
	return o.decode(dst, payload)
}

// Recover makes up for a frame that is lost: from the copy in the packet
// behind it, else from what was before.
func (o *opusCodec) Recover(dst []int16, next []byte) bool {
	if o.dec == nil || len(dst) == 0 || len(dst)%(o.spec.Rate/opusStep) != 0 {
		return false
	}
	if len(next) > 0 && len(dst) <= len(o.copy) && gopus.PacketHasLBRR(next) {
		return o.again(dst, next) == len(dst)
	}
	return o.decode(dst, nil) == len(dst)
}

// decode decodes a packet; nil is one that was lost.
func (o *opusCodec) decode(dst []int16, payload []byte) (n int) {
	defer o.survive(&n)
	n, err := o.dec.DecodeInt16(payload, dst)
	if err != nil {
		return 0
	}
	return n
}

// again decodes the copy that next carries of the frame before it.
func (o *opusCodec) again(dst []int16, next []byte) (n int) {
	defer o.survive(&n)
	n, err := o.dec.DecodeWithFEC(next, o.copy[:len(dst)], true)
	if err != nil {
		return 0
	}
	for i, v := range o.copy[:n] {
		dst[i] = clip(v * (1 << 15))
	}
	return n
}

func (o *opusCodec) decoder() bool {
	if o.dec != nil {
		return true
	}
	dec, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(o.spec.Rate, 1))
	if err != nil {
		return false // no rate of ours
	}
	o.dec, o.copy = dec, make([]float32, o.spec.Rate*opusMost/1000)
	return true
}

// survive turns a panic of the decoder into a packet that was lost: no bytes
// from outside end a call (SEC-1). Its state is not trusted any more.
func (o *opusCodec) survive(n *int) {
	if recover() != nil {
		o.dec, *n = nil, 0
	}
}

// opusSamples is how many samples a packet holds, 0 where it is none: the
// frames' length and count of its first bytes (RFC 6716 section 3.1).
func opusSamples(rate int, payload []byte) int {
	if len(payload) == 0 {
		return 0
	}
	config := payload[0] >> 3
	var frame int // in 1/400 s
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = []int{4, 8, 16, 24}[config%4]
	case config < 16: // both: 10, 20 ms
		frame = []int{4, 8}[config%2]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 1 << (config % 4)
	}
	count := 1
	switch payload[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(payload) < 2 {
			return 0
		}
		count = int(payload[1] & 0x3F)
	}
	if frame*count > opusMost*opusStep/1000 {
		return 0
	}
	return frame * count * rate / opusStep
}
