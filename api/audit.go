package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
)

// audit logs who changed what, and who tried to: one line for each request
// that is no reading, without its body (SEC-13).
func (s *Server) audit(ctx huma.Context, next func(huma.Context)) {
	if ctx.Method() == http.MethodGet || ctx.Method() == http.MethodHead {
		next(ctx)
		return
	}
	who := new(string) // set by authorize
	ctx = huma.WithValue(ctx, keyOfAudit, who)
	defer func() {
		url := ctx.URL()
		s.log.Info("api", zap.String("request_id", requestID(ctx.Context())), zap.String("key", *who),
			zap.String("operation", ctx.Operation().OperationID), zap.String("path", url.Path),
			zap.Int("status", ctx.Status()), zap.String("remote", ctx.RemoteAddr()))
	}()
	next(ctx)
}

// audited names who asks.
func audited(ctx context.Context, name string) {
	if who, ok := ctx.Value(keyOfAudit).(*string); ok {
		*who = name
	}
}
