# bash completion for taskgated(8)
# shellcheck shell=bash

_taskgated() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # The = of --option=value is a word of its own (COMP_WORDBREAKS).
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
        --root)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            ;;
        --config | *[\<\>])
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "-h --help --root --user --config --check --check-store --version" -- "$cur")
            ;;
    esac
}
complete -F _taskgated taskgated
