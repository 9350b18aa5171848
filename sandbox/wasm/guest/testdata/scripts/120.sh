x=5; (x=6; echo $x); echo $x; { x=7; }; echo $x
