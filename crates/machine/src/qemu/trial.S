# The guest of the acceleration trial. Assembled: as trial.S -o t.o && objcopy -O binary t.o t.bin
# It is mapped so that its last byte is the last one below 4 GiB; `top` is where it starts.
        .set top, 0xfffffe00
        .set exit, 0xf4                         # isa-debug-exit
        .code16
start:  cli
        lgdtl   %cs:(gdtr - start + 0xfe00)     # cs starts at 0xffff0000
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0                      # protected mode
        ljmpl   $0x08, $(top + protected - start)
        .code32
protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        movl    $0x2003, 0x1000                 # top table: entry 0
        movl    $0x3003, 0x2018                 # second: the fourth GiB
        movl    $0xffe00083, 0x3ff8             # third: its last 2 MiB, as one page
        mov     $0x1000, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x620, %eax                    # PAE, SSE
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax                    # long mode
        wrmsr
        mov     %cr0, %eax
        or      $0x80000002, %eax               # paging
        and     $0xfffffffb, %eax
        mov     %eax, %cr0
        ljmp    $0x18, $(top + long - start)
        .code64
long:   movd    %eax, %xmm0
        pxor    %xmm0, %xmm0
        mov     $7, %eax
        xor     %ecx, %ecx
        cpuid
        test    $0x100, %ebx                    # BMI2, which kernels use to unpack themselves
        jz      done
        mov     $1, %ecx
        shlx    %rcx, %rcx, %rdx
done:   mov     $0x2a, %al
        out     %al, $exit
        hlt
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff              # 32-bit code
        .quad   0x00cf93000000ffff              # data
        .quad   0x00af9b000000ffff              # 64-bit code
gdtr:   .word   gdtr - gdt - 1
        .long   top + gdt - start
        .org    start + 0x1f0
        .code16
        .byte   0xe9                            # jmp start: the reset vector
        .word   start - . - 2
        .org    start + 0x200
