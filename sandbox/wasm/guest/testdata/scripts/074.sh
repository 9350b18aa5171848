shopt -s extglob globstar
mkdir -p x/y; touch x/y/z.go; echo **/*.go; case abc in @(abc|def)) echo ext;; esac
