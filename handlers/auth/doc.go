// Package auth finds out who a caller is and what it may do, from a token (JWT, RFC 7519) or an API
// key. It knows nothing of HTTP and nothing of topics but what scopes say.
package auth
