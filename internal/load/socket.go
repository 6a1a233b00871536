package load

import (
	"errors"
	"net"
)

// packetRoom is what a datagram is read into, bytes; longer ones are no G.711
// of 20 ms.
const packetRoom = 512

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
