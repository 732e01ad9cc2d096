package attune

import (
	"regexp"
	"time"
)

var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// ValidSecretName reports whether s can name a secret. The name must also be a valid suffix of a shell variable's name.
func ValidSecretName(s string) bool { return secretName.MatchString(s) }

// MaxSecretBytes is the largest value of a secret.
const MaxSecretBytes = 64 << 10

// Scope is what a secret or a policy is for: one action, one pack, or all packs when both are empty.
type Scope struct {
	Pack   string `json:"pack,omitempty"`
	Action string `json:"action,omitempty"`
}

// Secret describes a secret. No request returns its value.
type Secret struct {
	Name string `json:"name"`
	Scope
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Role is what the holder of a token may do.
type Role string

const (
	// RoleAdmin may do everything.
	RoleAdmin Role = "admin"
	// RoleOperator may run and cancel, and read; not install, set secrets or make tokens.
	RoleOperator Role = "operator"
	// RoleViewer may read.
	RoleViewer Role = "viewer"
)

// Valid reports whether r is a known role.
func (r Role) Valid() bool { return r == RoleAdmin || r == RoleOperator || r == RoleViewer }

// Token describes an API token. The token itself is only shown when it is made.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Packs limits the token to these packs; empty means all.
	Packs      []string   `json:"packs,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}
