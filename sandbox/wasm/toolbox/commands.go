package toolbox

// commands are the names of the module's commands; a test compares them with what
// the module says.
const commands = `
[ arch ash awk base64 basename bash bunzip2 bzcat bzip2 cat chmod chronic cmp comm cp crc32 cut
dash date diff dirname du echo egrep env expand expr false fgrep find fold gawk grep gunzip gzip hd
head help hexdump hostname id install ionice join jq ln ls mawk md5sum mkdir mktemp mv nawk nice nl
nohup nproc od paste printenv printf pwd readlink realpath rev rm rmdir sed seq setsid sh sha1sum
sha224sum sha256sum sha384sum sha512sum shuf sleep sort split stat stdbuf sync tac tail tar tee
test time timeout touch tr true truncate tty uname uniq unzip wc which whoami xargs xxd yes zcat
zip
`
