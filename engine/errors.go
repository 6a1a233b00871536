package engine

import "errors"

var (
	errStreamOver = errors.New("the recogniser ended its stream")
	errStreamSlow = errors.New("the recogniser did not open in time")
	errStreamHung = errors.New("the recogniser says nothing to what was said")
	errHandedOver = errors.New("another recogniser listens")
	errNoSound    = errors.New("the voice answered without any sound")
	errVoiceSlow  = errors.New("the voice gave no sound in time")
	errNoProvider = errors.New("no such provider is configured")
)
