package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Tokens knows API tokens by their SHA-256. The token itself is shown once, when it is made.
type Tokens struct{ pool, lists *pgxpool.Pool }

const tokenColumns = `id, name, role, packs, created_at, expires_at, last_used_at`

// Create makes a token and returns it with what is kept of it. expires is nil for a token without end.
func (s *Tokens) Create(
	ctx context.Context, name string, role attune.Role, packs []string, expires *time.Time,
) (string, attune.Token, error) {
	if err := checkToken(name, role, packs, expires); err != nil {
		return "", attune.Token{}, err
	}
	secret, prefix := newToken()
	hash := sha256.Sum256([]byte(secret))
	token, err := scanToken(s.pool.QueryRow(ctx, `insert into tokens (id, name, prefix, sha256, role, packs, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7) returning `+tokenColumns,
		newID(), name, prefix, hash[:], role, array(packs), expires))
	if err != nil {
		return "", attune.Token{}, Translate("create token", err)
	}
	return secret, token, nil
}

// EnsureAdmin returns known when it still is an admin's token, and makes a new one otherwise. It is for the owner of
// the data folder.
func (s *Tokens) EnsureAdmin(ctx context.Context, known string) (string, error) {
	if known != "" {
		token, err := s.Authenticate(ctx, known)
		if err == nil && token.Role == attune.RoleAdmin && len(token.Packs) == 0 {
			return known, nil
		}
		if err != nil && attune.CodeOf(err) != attune.CodeUnauthenticated {
			return "", err
		}
	}
	secret, _, err := s.Create(ctx, "attune up", attune.RoleAdmin, nil, nil)
	return secret, err
}

// Authenticate returns the token that secret is, or a CodeUnauthenticated error.
func (s *Tokens) Authenticate(ctx context.Context, secret string) (attune.Token, error) {
	unknown := attune.Errorf(attune.CodeUnauthenticated, "the token is unknown, revoked or expired")
	prefix, ok := tokenPrefix(secret)
	if !ok {
		return attune.Token{}, unknown
	}
	var hash []byte
	var expired, stale bool
	token, err := scanToken(s.pool.QueryRow(ctx, `select `+tokenColumns+`, sha256, coalesce(expires_at <= now(), false),
		last_used_at is null or last_used_at < now() - interval '1 minute' from tokens where prefix = $1`, prefix),
		&hash, &expired, &stale)
	if errors.Is(err, pgx.ErrNoRows) {
		return attune.Token{}, unknown
	}
	if err != nil {
		return attune.Token{}, Translate("authenticate", err)
	}
	given := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(given[:], hash) != 1 || expired {
		return attune.Token{}, unknown
	}
	if stale {
		s.touch(ctx, token.ID)
	}
	return token, nil
}

// touch records the use of a token, so that unused ones can be found. It must not fail a request.
func (s *Tokens) touch(ctx context.Context, id string) {
	_, err := s.pool.Exec(ctx, `update tokens set last_used_at = now()
		where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`, id)
	if err != nil {
		slog.WarnContext(ctx, "the use of a token was not recorded", "token", id, "error", err)
	}
}

// List returns all tokens, oldest first.
func (s *Tokens) List(ctx context.Context) ([]attune.Token, error) {
	scan := func(row pgx.Row) (attune.Token, error) { return scanToken(row) }
	return list(ctx, s.lists, "list tokens", scan, `select `+tokenColumns+` from tokens order by created_at, id`)
}

// Delete revokes a token at once.
func (s *Tokens) Delete(ctx context.Context, id string) error {
	missing := attune.Errorf(attune.CodeNotFound, "there is no token %q", id)
	if !validID(id) {
		return missing
	}
	return Translate("delete token", change(ctx, s.pool, `delete from tokens where id = $1`, id), missing)
}

// newToken makes "att_<prefix>_<256 random bits>". The prefix finds the row and is no secret; the whole token is
// hashed.
func newToken() (secret, prefix string) {
	random := make([]byte, 6+32)
	_, _ = rand.Read(random) // never fails: it ends the process instead
	prefix = hex.EncodeToString(random[:6])
	return "att_" + prefix + "_" + base64.RawURLEncoding.EncodeToString(random[6:]), prefix
}

func tokenPrefix(secret string) (string, bool) {
	rest, ok := strings.CutPrefix(secret, "att_")
	prefix, _, found := strings.Cut(rest, "_")
	_, err := hex.DecodeString(prefix)
	return prefix, ok && found && err == nil
}

func checkToken(name string, role attune.Role, packs []string, expires *time.Time) error {
	var problems []attune.Problem
	if name == "" || len(name) > 200 {
		problems = append(problems, attune.Problem{Field: "name", Message: "must have 1 to 200 characters"})
	}
	if !role.Valid() {
		problems = append(problems, attune.Problem{Field: "role", Message: "must be admin, operator or viewer"})
	}
	for _, p := range packs {
		if !attune.ValidPackRef(p) {
			problems = append(problems, attune.Problem{Field: "packs", Message: "has an entry that is not a pack's ref"})
			break
		}
	}
	if expires != nil && expires.Before(time.Now()) {
		problems = append(problems, attune.Problem{Field: "expires_at", Message: "lies in the past"})
	}
	if len(problems) > 0 {
		return attune.Invalid("the token cannot be made", problems...)
	}
	return nil
}

func scanToken(row pgx.Row, more ...any) (t attune.Token, err error) {
	err = row.Scan(append([]any{&t.ID, &t.Name, &t.Role, &t.Packs, &t.CreatedAt, &t.ExpiresAt, &t.LastUsedAt}, more...)...)
	return t, err
}
