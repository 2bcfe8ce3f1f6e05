# bash completion for taskgated(8)
# shellcheck shell=bash

# What may be typed, and what each option takes. The part between BEGIN and END is made by packaging/documents.
# BEGIN GENERATED tables
declare -gA _taskgated_options=(
    [-]='-h --help --root --user --config --check --check-store --version'
)
declare -gA _taskgated_values=(
    [--root]='directory'
    [--config]='file'
)
# END GENERATED

_taskgated() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} takes=''
    COMPREPLY=()
    # The = of --option=value is a word of its own (COMP_WORDBREAKS).
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ $prev == *[\<\>] ]]; then
        takes='file'
    elif [[ $prev == --* && ${_taskgated_values[$prev]+takes one} ]]; then
        takes=${_taskgated_values[$prev]}
    fi
    case $takes in
        directory | file) # compgen -d, compgen -f
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -"${takes:0:1}" -- "$cur")
            ;;
        *) mapfile -t COMPREPLY < <(compgen -W "${_taskgated_options[-]}" -- "$cur") ;;
    esac
}
complete -F _taskgated taskgated
