// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vmremap: the device, the dispatch of its ioctls, and the copying of
 * structs that may be shorter or longer than ours.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "internal.h"

static int op_query(struct vmremap_query *args);

/* The largest struct that an operation takes. */
union operation_args {
	struct {
		u32 size;
		u32 flags;
	} head;
	struct vmremap_query query;
	struct vmremap_move move;
	struct vmremap_movev movev;
};

/**
 * struct operation - one ioctl
 * @size: of the struct as this module knows it
 * @min_size: of the struct's first version
 * @flags: those that it takes
 * @run: does it, and fills the struct
 */
struct operation {
	u32 size;
	u32 min_size;
	u32 flags;
	int (*run)(union operation_args *args);
};

static int run_query(union operation_args *args)
{
	return op_query(&args->query);
}

static int run_move(union operation_args *args)
{
	return vmremap_op_move(&args->move);
}

static int run_movev(union operation_args *args)
{
	return vmremap_op_movev(&args->movev);
}

static const struct operation operations[] = {
	[VMREMAP_OP_QUERY] = {
		.size = sizeof(struct vmremap_query),
		.min_size = sizeof(struct vmremap_query),
		.run = run_query,
	},
	[VMREMAP_OP_MOVE] = {
		.size = sizeof(struct vmremap_move),
		.min_size = sizeof(struct vmremap_move),
		.flags = VMREMAP_MOVE_FLAGS,
		.run = run_move,
	},
	[VMREMAP_OP_MOVEV] = {
		.size = sizeof(struct vmremap_movev),
		.min_size = sizeof(struct vmremap_movev),
		.flags = VMREMAP_MOVE_FLAGS,
		.run = run_movev,
	},
};

/* The contract's sizes; a struct may only ever grow. */
static_assert(sizeof(struct vmremap_query) == 128);
static_assert(sizeof(struct vmremap_range) == 24);
static_assert(sizeof(struct vmremap_move) == 40);
static_assert(sizeof(struct vmremap_movev) == 40);
static_assert(ARRAY_SIZE(operations) <= VMREMAP_MAX_OPS);

static u64 what_this_kernel_lacks(void)
{
	u64 lacks = 0;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		lacks |= VMREMAP_LACKS_THP;
	if (!IS_ENABLED(CONFIG_MEM_SOFT_DIRTY))
		lacks |= VMREMAP_LACKS_SOFT_DIRTY;
	if (!COMPAT_HAS_UFFDIO_MOVE)
		lacks |= VMREMAP_LACKS_UFFDIO_MOVE;
	return lacks;
}

static int op_query(struct vmremap_query *args)
{
	unsigned int i;

	args->abi_version = VMREMAP_ABI_VERSION;
	args->max_ranges = VMREMAP_MAX_RANGES;
	args->ops = 0;
	for (i = 0; i < VMREMAP_MAX_OPS; i++) {
		args->op_flags[i] = 0;
		if (i < ARRAY_SIZE(operations) && operations[i].run) {
			args->ops |= 1ULL << i;
			args->op_flags[i] = operations[i].flags;
		}
	}
	args->lacks = what_this_kernel_lacks();
	strscpy_pad(args->version, VMREMAP_VERSION, sizeof(args->version));
	return 0;
}

/*
 * Reads the caller's struct, and writes it back unchanged as a test: what was
 * done must not go unreported because the struct turns out to be read-only.
 */
static int get_args(const struct operation *op, void __user *arg,
		    union operation_args *args)
{
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	memset(args, 0, sizeof(*args));
	err = copy_struct_from_user(args, op->size, arg, size);
	if (err)
		return err;
	/* Another thread may have changed it in the meantime. */
	args->head.size = size;
	return copy_to_user(arg, args, min(size, op->size)) ? -EFAULT : 0;
}

static long vmremap_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	const struct operation *op;
	void __user *user = (void __user *)arg;
	union operation_args args;
	int err;

	if (_IOC_TYPE(cmd) != VMREMAP_IOC_MAGIC ||
	    _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    _IOC_NR(cmd) >= ARRAY_SIZE(operations))
		return -ENOTTY;
	op = &operations[_IOC_NR(cmd)];
	err = get_args(op, user, &args);
	if (err)
		return err;
	if (args.head.flags & ~op->flags)
		return -EINVAL;

	err = op->run(&args);
	if (copy_to_user(user, &args, min(args.head.size, op->size)))
		return -EFAULT;
	return err;
}

static const struct file_operations vmremap_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vmremap_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice vmremap_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vmremap",
	.fops = &vmremap_fops,
	.mode = 0660,
};

static int __init vmremap_init(void)
{
	return misc_register(&vmremap_device);
}

static void __exit vmremap_exit(void)
{
	misc_deregister(&vmremap_device);
}

module_init(vmremap_init);
module_exit(vmremap_exit);

MODULE_DESCRIPTION("Remapping operations on a process's own memory");
MODULE_AUTHOR("The vmremap developers");
MODULE_VERSION(VMREMAP_VERSION);
MODULE_LICENSE("GPL");
