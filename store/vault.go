package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/internal/secret"
)

// What a kept secret begins with.
const (
	plainSecret  = "plain:"
	sealedSecret = "aes:" // base64 of a nonce and what AES-256-GCM makes of it
)

// vault seals secrets before they are kept. Each is bound to its object: in
// another row it cannot be opened.
type vault struct {
	log  *zap.Logger
	aead cipher.AEAD // nil without a key
	once sync.Once   // the warning that there is none
}

// newVault takes a key of 64 hex digits, "" for none.
func newVault(key secret.Text, log *zap.Logger) (*vault, error) {
	v := &vault{log: log}
	if key == "" {
		return v, nil
	}
	raw, err := hex.DecodeString(key.Reveal())
	if err != nil || len(raw) != 32 {
		return nil, errors.New("store.key is no key of 64 hex digits; make one with: openssl rand -hex 32")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	v.aead, err = cipher.NewGCM(block)
	return v, err
}

func boundTo(k Kind, id string) []byte { return []byte(string(k) + " " + id) }

// seal is a secret of an object as it is kept.
func (v *vault) seal(k Kind, id, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if v.aead == nil {
		v.once.Do(func() {
			v.log.Warn("secrets are kept in plain: webhook secrets, passwords of trunks; set store.key to have them sealed")
		})
		return plainSecret + text, nil
	}
	nonce := make([]byte, v.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	return sealedSecret + base64.StdEncoding.EncodeToString(v.aead.Seal(nonce, nonce, []byte(text), boundTo(k, id))), nil
}

// open is the secret that was kept.
func (v *vault) open(k Kind, id, kept string) (string, error) {
	if kept == "" {
		return "", nil
	}
	if text, ok := strings.CutPrefix(kept, plainSecret); ok {
		return text, nil
	}
	text, ok := strings.CutPrefix(kept, sealedSecret)
	raw, err := base64.StdEncoding.DecodeString(text)
	switch {
	case !ok || err != nil:
		return "", fmt.Errorf("the secret of %s %s is not one that was kept here", k, id)
	case v.aead == nil:
		return "", fmt.Errorf("the secret of %s %s is sealed: set store.key to the key of this store", k, id)
	case len(raw) < v.aead.NonceSize():
		return "", fmt.Errorf("the secret of %s %s is cut", k, id)
	}
	n := v.aead.NonceSize()
	out, err := v.aead.Open(nil, raw[:n], raw[n:], boundTo(k, id))
	if err != nil {
		return "", fmt.Errorf("the secret of %s %s is sealed with another key than store.key, or was changed", k, id)
	}
	return string(out), nil
}

// checkSecrets opens every secret, so that a missing key ends the start and no
// call, and seals those that were kept in plain before there was a key.
func (s *Store) checkSecrets(ctx context.Context) error {
	return s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		for kind, table := range map[Kind]string{KindAgent: "agents", KindTrunk: "trunks"} {
			var rows []struct{ ID, Secret string }
			err := tx.NewSelect().Table(table).Column("id", "secret").Where("secret <> ''").Scan(ctx, &rows)
			if err != nil {
				return err
			}
			for _, r := range rows {
				text, err := s.vault.open(kind, r.ID, r.Secret)
				if err != nil {
					return err
				}
				if s.vault.aead == nil || !strings.HasPrefix(r.Secret, plainSecret) {
					continue
				}
				sealed, err := s.vault.seal(kind, r.ID, text)
				if err == nil {
					_, err = tx.NewUpdate().Table(table).Set("secret = ?", sealed).Where("id = ?", r.ID).Exec(ctx)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}
