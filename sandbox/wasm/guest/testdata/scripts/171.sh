shopt -s nullglob
shopt -s globstar extglob
echo {1..5} {a..e} {01..03} {1..10..3} {a,b}{1,2} pre{x,y}post {5..1} {a,b{1,2}}; touch a.txt b.txt c.md .hid; mkdir -p d/e/f; touch d/1.txt d/e/2.txt d/e/f/3.txt; echo **/*.txt; echo *.@(txt|md); echo !(*.txt); echo *(a|b).txt ?(x)c.md; echo nope*; shopt -s dotglob; echo *; shopt -u nullglob; echo nope*; ls -d */; for f in *.{txt,md}; do echo "f $f"; done; [[ a.txt == @(a|b).txt ]] && echo ok; case foo.tar.gz in *.tar.@(gz|xz)) echo tar;; esac; echo d/**; for f in d/**/*; do [ -f "$f" ] && echo "$f"; done
